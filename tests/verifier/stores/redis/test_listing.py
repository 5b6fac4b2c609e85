"""The listeners of a Redis channel."""

from __future__ import annotations

import pytest

from tests.verifier.stores.redis.world import CHANNEL, RedisWorld
from verifier.stores.redis.listing import similar_channels, subscribers

pytestmark = [pytest.mark.long, pytest.mark.anyio]


LISTENERS: dict[str, tuple[str, str]] = {
    "exactly": ("subscribe", CHANNEL.name),
    "sharded": ("ssubscribe", CHANNEL.name),
    "by pattern": ("psubscribe", "chat:*"),
}


@pytest.mark.parametrize("listed", [True, False], ids=["CLIENT LIST granted", "not granted"])
@pytest.mark.parametrize("how", LISTENERS)
async def test_every_kind_of_listener_is_listed(redis_world: RedisWorld, how: str, listed: bool) -> None:
    """Exact and sharded listeners are listed; whether a pattern matches the channel is unreadable."""
    user = redis_world.grant.verifier.split("//")[1].split(":")[0]
    async with redis_world.client() as client, client.pubsub() as listener, redis_world.store() as store:
        assert await subscribers(store, CHANNEL.name) == []
        method, pattern = LISTENERS[how]
        await getattr(listener, method)(pattern)
        await listener.get_message(timeout=1)
        if not listed:
            await client.execute_command("ACL", "SETUSER", user, "-client|list")
        found = await subscribers(store, CHANNEL.name)
    assert [item.kind for item in found] == ["unreadable" if how == "by pattern" else "subscriber"]


async def test_sharded_listeners_that_may_not_be_counted_are_unreadable(redis_world: RedisWorld) -> None:
    """A server that refuses the count has not said that there are none."""
    user = redis_world.grant.verifier.split("//")[1].split(":")[0]
    async with redis_world.client() as client, client.pubsub() as listener, redis_world.store() as store:
        await listener.ssubscribe(CHANNEL.name)
        await listener.get_message(timeout=1)
        await client.execute_command("ACL", "SETUSER", user, "-pubsub|shardnumsub")
        found = await subscribers(store, CHANNEL.name)
    assert [item.kind for item in found] == ["unreadable"]
    assert "SHARDNUMSUB is not granted" in found[0].name


async def test_similar_channels_with_listeners_are_named(redis_world: RedisWorld) -> None:
    """A channel with the name in its own is a limitation; the channel itself and others are not."""
    async with redis_world.client() as client, client.pubsub() as listener, redis_world.store() as store:
        await listener.subscribe(CHANNEL.name, f"{CHANNEL.name}:v2", "weather")
        for _ in range(3):
            await listener.get_message(timeout=1)
        found = await similar_channels(store, CHANNEL.name)
    assert [(item.kind, item.attributes["channel"]) for item in found] == [("limitation", f"{CHANNEL.name}:v2")]
