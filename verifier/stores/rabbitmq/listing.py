"""The inventory of a broker: what is declared in every vhost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from verifier.stores.errors import Denied, Missing
from verifier.stores.protocols import StoreObject
from verifier.stores.rabbitmq.client import RabbitMQClient, segment

PAGE_SIZE = 500
_QUEUE_COLUMNS = (
    "name,vhost,type,state,durable,exclusive,auto_delete,arguments,policy,operator_policy,messages,consumers,"
    "message_stats.publish"
)

Item = Mapping[str, Any]
Reader = Callable[[RabbitMQClient, str], Awaitable[list[StoreObject]]]


async def list_objects(client: RabbitMQClient, kind: str) -> list[StoreObject]:
    """All objects of a kind. Raises ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"{client.label} lists {', '.join(KINDS)}; not {kind}")
    found = await _vhosts(client)
    readable = [item.name for item in found if item.kind == "vhost"]
    if kind != "vhosts":
        found = [item for item in found if item.kind == "unreadable"]
    if kind == "parameters":
        return [*found, *await _parameters(client)]
    for vhost in readable if kind in _PER_VHOST else ():
        with suppress(Missing):  # the vhost was removed in between
            found += await _PER_VHOST[kind](client, vhost)
    return found


async def _vhosts(client: RabbitMQClient) -> list[StoreObject]:
    """The vhosts, found readable or unreadable by a request: some pages (consumers) of an unreadable one are empty, not
    denied."""
    found = []
    for name in await client.vhosts():
        try:
            await client.get(f"/api/queues/{segment(name)}", page=1, page_size=1, columns="name")
        except Missing:
            continue
        except Denied as error:
            attributes = {"vhost": name, "reason": str(error)}
            found.append(StoreObject(kind="unreadable", name=f"vhost {name}", attributes=attributes))
        else:
            found.append(StoreObject(kind="vhost", name=name, attributes={"name": name, "vhost": name}))
    own = client.config.vhost
    if not any(item.attributes["vhost"] == own for item in found):
        # The profile's vhost was not read, so an empty list would not prove anything.
        why = f"Vhost {own} does not exist. Correct roles.{client.role}.vhost in the profile."
        found.append(StoreObject(kind="unreadable", name=f"vhost {own}", attributes={"vhost": own, "reason": why}))
    return found


async def _queues(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    """By pages: a broker may have a hundred thousand queues."""
    items: list[Item] = []
    page, pages = 1, 1
    while page <= pages:
        answer = await client.get(
            f"/api/queues/{segment(vhost)}", page=page, page_size=PAGE_SIZE, columns=_QUEUE_COLUMNS
        )
        items += answer["items"]
        page, pages = page + 1, int(answer["page_count"])
    return [_queue(item) for item in items]


def _queue(item: Item) -> StoreObject:
    attributes = {name: item.get(name) for name in _QUEUE_COLUMNS.split(",")[:-1]}
    attributes["publish"] = (item.get("message_stats") or {}).get("publish", 0)
    return StoreObject(kind="queue", name=f"{item['name']}@{item['vhost']}", attributes=attributes)


async def _exchanges(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    return [
        StoreObject(
            kind="exchange",
            name=f"{item['name'] or '(default)'}@{vhost}",
            attributes={name: item.get(name) for name in ("name", "vhost", "type", "durable", "internal", "arguments")},
        )
        for item in await client.get(f"/api/exchanges/{segment(vhost)}")
    ]


async def _bindings(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    """`queue` is the destination if it is a queue; `source` is empty for bindings of the default exchange."""
    found = []
    for item in await client.get(f"/api/bindings/{segment(vhost)}"):
        names = ("vhost", "source", "destination", "destination_type", "routing_key", "arguments")
        attributes = {name: item.get(name) for name in names}
        attributes["queue"] = item["destination"] if item["destination_type"] == "queue" else None
        shown = f"{item['source'] or '(default)'} -> {item['destination']} [{item['routing_key']}]@{vhost}"
        found.append(StoreObject(kind="binding", name=shown, attributes=attributes))
    return found


async def _consumers(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    """Named by queue and user, because consumer tags and connections change with each reconnect."""
    found = []
    for item in await client.get(f"/api/consumers/{segment(vhost)}"):
        queue, channel = item.get("queue") or {}, item.get("channel_details") or {}
        attributes = {
            "queue": queue.get("name"),
            "vhost": queue.get("vhost", vhost),
            "consumer_tag": item.get("consumer_tag"),
            "user": channel.get("user"),
            "connection": channel.get("connection_name"),
        }
        name = f"of {attributes['queue']}@{vhost} (user {attributes['user']})"
        found.append(StoreObject(kind="consumer", name=name, attributes=attributes))
    return found


async def _policies(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    found = []
    for path in ("policies", "operator-policies"):
        for item in await client.get(f"/api/{path}/{segment(vhost)}"):
            names = ("name", "vhost", "pattern", "apply-to", "definition", "priority")
            attributes = {name: item.get(name) for name in names} | {"operator": path == "operator-policies"}
            found.append(StoreObject(kind="policy", name=f"{item['name']}@{vhost}", attributes=attributes))
    return found


async def _parameters(client: RabbitMQClient) -> list[StoreObject]:
    """Shovels and federation upstreams; without the tag policymaker the running ones, as their plugins report them."""
    try:
        items = await client.get("/api/parameters")
    except Denied as error:
        return await _running(client, error)
    return [_parameter(item) for item in items]


def _parameter(item: Item) -> StoreObject:
    value = item.get("value")
    attributes = {name: item.get(name) for name in ("component", "name", "vhost")}
    attributes["value"] = _without_urls(value) if isinstance(value, Mapping) else value
    name = f"{item['component']} {item['name']}@{item.get('vhost')}"
    return StoreObject(kind="parameter", name=name, attributes=attributes)


def _without_urls(value: Item) -> dict[str, Any]:
    """A definition without its URLs, which contain passwords."""
    return {key: item for key, item in value.items() if "uri" not in key}


async def _running(client: RabbitMQClient, denied: Denied) -> list[StoreObject]:
    """The links that plugins report, and an unreadable object where a plugin runs without its management page."""
    enabled = {name for node in await client.get("/api/nodes") for name in node.get("enabled_plugins") or []}
    found = []
    for component, path in _LINKS.items():
        plugin = f"rabbitmq_{component}"
        if f"{plugin}_management" in enabled:
            found += [_link(component, item) for item in await client.get(path)]
        elif plugin in enabled:
            why = (
                f"{denied} And {path} does not exist: enable {plugin}_management, or give the user the tag policymaker."
            )
            found.append(StoreObject(kind="unreadable", name=f"{component} definitions", attributes={"reason": why}))
    return found


def _link(component: str, item: Item) -> StoreObject:
    shown = item.get("name") or item.get("queue") or item.get("exchange")
    return StoreObject(
        kind="parameter",
        name=f"{component} {shown}@{item.get('vhost')}",
        attributes={"component": component, **_without_urls(item)},
    )


_LINKS = {"shovel": "/api/shovels", "federation": "/api/federation-links"}
_PER_VHOST: dict[str, Reader] = {
    "queues": _queues,
    "exchanges": _exchanges,
    "bindings": _bindings,
    "consumers": _consumers,
    "policies": _policies,
}
KINDS = ("vhosts", *_PER_VHOST, "parameters")
