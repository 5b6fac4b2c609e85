"""The listeners of a Redis channel on every server of a role: exact, sharded and pattern subscribers."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from verifier.stores.errors import StoreError
from verifier.stores.protocols import StoreObject
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.node import CLIENT_NAME, Node


async def subscribers(client: RedisClient, channel: str) -> list[StoreObject]:
    """One object per way of listening, with attributes `how`, `pattern` and `subscribers`, and unreadable ones for
    patterns.

    Each server counts its own clients only, so every one is asked, replicas of a cluster included.
    """
    layout = await client.layout(fresh=True)
    total: Counter[str] = Counter()
    patterns: dict[str, StoreObject] = {}
    for node in layout.listening:
        total.update(await _counted(node, channel))
        for item in await _patterns(node, channel):
            patterns.setdefault(item.name, item)
    found = [_object(how, channel, count) for how, count in total.items() if count > 0]
    return [*found, *patterns.values(), *await _elsewhere(client, layout.unseen)]


async def _counted(node: Node, channel: str) -> dict[str, int]:
    """The listeners on one server by way, without the verifier's own taps."""
    driver, taps = node.driver, node.taps
    async with taps.lock:
        counts = await node.run("PUBSUB NUMSUB", driver.pubsub_numsub(channel))
        listening = {"exactly": sum(int(count) for _, count in counts)}
        with suppress(StoreError):  # Redis before 7 has no sharded channels
            command = node.send("PUBSUB", "SHARDNUMSUB", channel)  # the driver's own method asks a cluster's client
            answer = await node.run("PUBSUB SHARDNUMSUB", command)
            listening["sharded"] = int(answer[1])
        return {how: count - taps.open[how, channel] for how, count in listening.items()}


async def _elsewhere(client: RedisClient, unseen: tuple[str, ...]) -> list[StoreObject]:
    """Servers whose listeners cannot be counted. A replica delivers what its master gets, to clients of its own."""
    found = [StoreObject(kind="unreadable", name=f"listeners on {text}") for text in unseen if "of the cluster" in text]
    if client.config.mode in ("single", "sentinel"):
        with suppress(StoreError):
            replicas = int((await client.info("replication")).get("connected_slaves", 0) or 0)
            if replicas:
                name = f"listeners that are connected to one of the {replicas} replicas"
                found.append(StoreObject(kind="limitation", name=name))
    return found


async def _patterns(node: Node, channel: str) -> list[StoreObject]:
    """Pattern subscribers. The server shows their number, and by CLIENT LIST their names, but not their patterns."""
    number = int(await node.run("PUBSUB NUMPAT", node.driver.pubsub_numpat()))
    if not number:
        return []
    try:
        clients = await node.run("CLIENT LIST", node.driver.client_list())
    except StoreError:
        what = f"whether one of {number} subscribed patterns matches {channel} (CLIENT LIST is not granted)"
        return [StoreObject(kind="unreadable", name=what)]
    names = [str(item.get("name") or item.get("addr")) for item in clients if int(item.get("psub", 0)) > 0]
    names = [name for name in names if name != CLIENT_NAME]
    return [
        StoreObject(
            kind="unreadable",
            name=f"whether pattern subscriber {name} listens on {channel}",
            attributes={"client": name},
        )
        for name in names
    ]


def _object(how: str, pattern: str, subscribers_count: int, **more: str) -> StoreObject:
    attributes = {"how": how, "pattern": pattern, "subscribers": subscribers_count, **more}
    return StoreObject(kind="subscriber", name=f"{how} {pattern}", attributes=attributes)
