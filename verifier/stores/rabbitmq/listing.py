"""The inventory of a broker: what is declared in every vhost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from verifier.stores.errors import Denied, Missing, StoreError, Unreachable
from verifier.stores.protocols import StoreObject
from verifier.stores.rabbitmq.client import RabbitMQClient, segment

PAGE_SIZE = 500
READINGS_MAX = 4
_QUEUE_COLUMNS = (
    "name,vhost,type,state,durable,exclusive,auto_delete,arguments,policy,operator_policy,effective_policy_definition,messages,"
    "consumers,"
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


async def list_vhost(client: RabbitMQClient, kind: str, vhost: str) -> list[StoreObject]:
    """The objects of a kind in one vhost. Raises Denied or Missing where it cannot be read."""
    return await _PER_VHOST[kind](client, vhost)


async def _vhosts(client: RabbitMQClient) -> list[StoreObject]:
    """The vhosts, found readable or unreadable by a request: some pages (consumers) of an unreadable one are empty, not
    denied."""
    found = [*await _hidden_vhosts(client)]
    for name in await client.vhosts():
        try:
            await client.get(f"/api/queues/{segment(name)}", page=1, page_size=1, columns="name")
        except Missing:
            continue
        except Unreachable:
            raise
        except StoreError as error:
            found.append(_unreadable(name, str(error)))
        else:
            found.append(StoreObject(kind="vhost", name=name, attributes={"name": name, "vhost": name}))
    own = client.config.vhost
    if not any(item.attributes["vhost"] == own for item in found):
        # The profile's vhost was not read, so an empty list would not prove anything.
        found.append(_unreadable(own, f"Vhost {own} does not exist. Correct roles.{client.role}.vhost in the profile."))
    return found


async def _hidden_vhosts(client: RabbitMQClient) -> list[StoreObject]:
    """Without the tag monitoring, the broker lists only the vhosts in which the user has an entry."""
    if tags_of(await client.get_object("/api/whoami")) & {"monitoring", "administrator"}:
        return []
    why = "The user lacks the tag monitoring, without which the broker does not list the vhosts of others."
    return [StoreObject(kind="unreadable", name="vhosts of others", attributes={"vhost": None, "reason": why})]


def _unreadable(vhost: str, reason: str) -> StoreObject:
    return StoreObject(kind="unreadable", name=f"vhost {vhost}", attributes={"vhost": vhost, "reason": reason})


def tags_of(whoami: Item) -> set[str]:
    """A user's tags: a list since RabbitMQ 3.9, before that a comma-separated text."""
    raw = whoami.get("tags")
    return {str(tag).strip() for tag in (raw.split(",") if isinstance(raw, str) else raw or [])}


async def _queues(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    """By pages: a broker may have a hundred thousand queues. A queue that is deleted meanwhile moves the others to earlier
    pages, so several pages are read again until nothing new comes."""
    items: dict[str, Item] = {}
    for _ in range(READINGS_MAX):
        known = set(items)
        found, total = await _all_pages(client, vhost, columns=_QUEUE_COLUMNS)
        items |= found
        if total <= len(found) and (len(found) <= PAGE_SIZE or set(items) == known):
            break
    else:
        if len(items) < total:
            missing = f"queues of vhost {vhost}: {len(items)} of {total} were listed, because they change too fast"
            return [StoreObject(kind="unreadable", name=missing, attributes={"vhost": vhost, "reason": missing})]
    if any(item.get("messages") is None for item in items.values()):
        # Statistics are switched off, or the queue is seconds old. The queues themselves know how many messages they have
        # (https://www.rabbitmq.com/docs/management, "Disabling statistics"). One that is down does not answer.
        totals, _ = await _all_pages(client, vhost, disable_stats="true", enable_queue_totals="true")
        items = {name: {**totals.get(name, {}), **_known(item)} for name, item in items.items()}
    return [_queue(item) for item in items.values()]


async def _all_pages(client: RabbitMQClient, vhost: str, **parameters: str) -> tuple[dict[str, Item], int]:
    """The queues of a vhost by name, and how many the broker says there are."""
    items: dict[str, Item] = {}
    page, pages, total = 1, 1, 0
    path = f"/api/queues/{segment(vhost)}"
    while page <= pages:
        answer = await client.get(path, page=page, page_size=PAGE_SIZE, **parameters)
        try:
            whole = isinstance(answer, list)  # a proxy that drops the query gets everything at once
            for item in answer if whole else answer["items"]:
                items[str(item["name"])] = item
            if whole:
                return items, len(items)
            page, pages = page + 1, int(answer["page_count"])
            total = max(total, int(answer.get("filtered_count", answer.get("total_count", 0))))
        except (TypeError, KeyError, ValueError):
            raise client.strange(path) from None
    return items, total


def _known(item: Item) -> Item:
    return {name: value for name, value in item.items() if value is not None}


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
        for item in await client.get_list(f"/api/exchanges/{segment(vhost)}")
    ]


async def _bindings(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    """`queue` is the destination if it is a queue; `source` is empty for bindings of the default exchange."""
    found = []
    for item in await client.get_list(f"/api/bindings/{segment(vhost)}"):
        names = ("vhost", "source", "destination", "destination_type", "routing_key", "arguments")
        attributes = {name: item.get(name) for name in names}
        attributes["queue"] = item["destination"] if item["destination_type"] == "queue" else None
        shown = f"{item['source'] or '(default)'} -> {item['destination']} [{item['routing_key']}]@{vhost}"
        found.append(StoreObject(kind="binding", name=shown, attributes=attributes))
    return found


async def _consumers(client: RabbitMQClient, vhost: str) -> list[StoreObject]:
    """Named by queue and user, because consumer tags and connections change with each reconnect."""
    found = []
    for item in await client.get_list(f"/api/consumers/{segment(vhost)}"):
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
        for item in await client.get_list(f"/api/{path}/{segment(vhost)}"):
            names = ("name", "vhost", "pattern", "apply-to", "definition", "priority")
            attributes = {name: item.get(name) for name in names} | {"operator": path == "operator-policies"}
            found.append(StoreObject(kind="policy", name=f"{item['name']}@{vhost}", attributes=attributes))
    return found


async def _parameters(client: RabbitMQClient) -> list[StoreObject]:
    """Shovels and federation upstreams; without the tag policymaker the running ones, as their plugins report them."""
    try:
        items = await client.get_list("/api/parameters")
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
