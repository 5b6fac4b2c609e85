"""The listeners of a Redis channel: exact, sharded and pattern subscribers."""

from __future__ import annotations

from contextlib import suppress

from verifier.stores.errors import StoreError
from verifier.stores.protocols import StoreObject
from verifier.stores.redis.client import RedisClient


async def subscribers(client: RedisClient, channel: str) -> list[StoreObject]:
    """One object per way of listening, with attributes `how`, `pattern` and `subscribers`, and unreadable ones for
    patterns."""
    driver, taps = client.driver, client.taps
    found: list[StoreObject] = []
    async with taps.lock:
        counts = await client.run("PUBSUB NUMSUB", driver.pubsub_numsub(channel))
        listening = {"exactly": sum(int(count) for _, count in counts)}
        with suppress(StoreError):  # Redis before 7 has no sharded channels
            counts = await client.run("PUBSUB SHARDNUMSUB", driver.pubsub_shardnumsub(channel))
            listening["sharded"] = sum(int(count) for _, count in counts)
        for how, count in listening.items():
            if count > taps.open[how, channel]:
                found.append(_object(how, channel, count - taps.open[how, channel]))
    return found + await _patterns(client, channel)


async def _patterns(client: RedisClient, channel: str) -> list[StoreObject]:
    """Pattern subscribers. The server shows their number, and by CLIENT LIST their names, but not their patterns."""
    number = int(await client.run("PUBSUB NUMPAT", client.driver.pubsub_numpat()))
    if not number:
        return []
    try:
        clients = await client.run("CLIENT LIST", client.driver.client_list())
    except StoreError:
        what = f"whether one of {number} subscribed patterns matches {channel} (CLIENT LIST is not granted)"
        return [StoreObject(kind="unreadable", name=what)]
    names = [str(item.get("name") or item.get("addr")) for item in clients if int(item.get("psub", 0)) > 0]
    names = [name for name in names if name != "openim-verifier"]
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
