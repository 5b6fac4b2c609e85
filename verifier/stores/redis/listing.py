"""The listeners of a Redis channel on every server of a role: exact, sharded and pattern subscribers."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress

from verifier.stores.errors import Denied, StoreError, Unreachable
from verifier.stores.protocols import StoreObject
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.keys import key_text
from verifier.stores.redis.node import CLIENT_NAME, Node

SIMILAR_MAX = 10
_GLOB_SPECIAL, _QUOTED = re.compile(r"([*?\[\]\\])"), r"\\\1"


async def subscribers(client: RedisClient, channel: str) -> list[StoreObject]:
    """One object per way of listening, with attributes `how`, `pattern` and `subscribers`, and unreadable ones for
    patterns.

    Each server counts its own clients only, so every one is asked, replicas of a cluster included.
    """
    layout = await client.layout(fresh=True)
    total: Counter[str] = Counter()
    patterns: dict[str, StoreObject] = {}
    uncounted: dict[str, StoreObject] = {}
    for node in layout.listening:
        counted, lacking = await _counted(node, channel)
        total.update(counted)
        uncounted |= {item.name: item for item in lacking}
        for item in await _patterns(node, channel):
            patterns.setdefault(item.name, item)
    found = [_object(how, channel, count) for how, count in total.items() if count > 0]
    return [*found, *uncounted.values(), *patterns.values(), *await _elsewhere(client, layout.unseen)]


async def similar_channels(client: RedisClient, channel: str) -> list[StoreObject]:
    """The channels with listeners whose names contain that of `channel`, as limitations: what is published there is not judged
    unless they are mapped."""
    pattern = f"*{_GLOB_SPECIAL.sub(_QUOTED, channel)}*"
    names: set[str] = set()
    for node in (await client.layout()).listening:
        with suppress(StoreError):
            found = await node.run("PUBSUB CHANNELS", node.driver.pubsub_channels(pattern))
            names.update(key_text(name) if isinstance(name, bytes) else str(name) for name in found)
    return [
        StoreObject(
            kind="limitation",
            name=f"channel {name}, which has listeners: map it, or declare it under inventory.foreign_channels",
            attributes={"channel": name},
        )
        for name in sorted(names - {channel})[:SIMILAR_MAX]
    ]


async def _counted(node: Node, channel: str) -> tuple[dict[str, int], list[StoreObject]]:
    """The listeners on one server by way, without the verifier's own taps, and what cannot be counted there."""
    driver, taps = node.driver, node.taps
    async with taps.lock:
        counts = await node.run("PUBSUB NUMSUB", driver.pubsub_numsub(channel))
        listening = {"exactly": sum(int(count) for _, count in counts)}
        uncounted = []
        try:
            command = node.send("PUBSUB", "SHARDNUMSUB", channel)  # the driver's own method asks a cluster's client
            answer = await node.run("PUBSUB SHARDNUMSUB", command)
            listening["sharded"] = int(answer[1])
        except Denied:
            name = f"sharded listeners on {channel} (PUBSUB SHARDNUMSUB is not granted)"
            uncounted.append(StoreObject(kind="unreadable", name=name))
        except Unreachable:
            raise
        except StoreError:
            pass  # Redis before 7 has no sharded channels
        return {how: count - taps.open[how, channel] for how, count in listening.items()}, uncounted


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
