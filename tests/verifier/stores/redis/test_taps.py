"""The verifier's own subscriptions are not counted as listeners and do not hide others."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio
from pydantic import SecretStr

from fixtures.stack.stack import Stack
from verifier.profile.relations import Channel
from verifier.profile.roles import RedisRole
from verifier.stores.redis.channels import ChannelObserver
from verifier.stores.redis.listing import subscribers
from verifier.stores.redis.store import RedisStore

pytestmark = pytest.mark.anyio

ROUNDS = 30
CHANNEL = "taps-test"


@pytest.mark.parametrize("how", ["none", "exactly", "sharded"])
async def test_listeners_are_counted_while_taps_open_and_close(stack: Stack, how: str) -> None:
    """At every moment the count has the one other listener, or none."""
    with stack.new_world(openim=False, broker=False) as world:
        store = RedisStore("cache_redis", RedisRole(url=SecretStr(world.config.verifier.redis)))
        await store.connect()
        other = redis.asyncio.Redis.from_url(world.config.platform.redis)
        listener = other.pubsub()
        if how == "exactly":
            await listener.subscribe(CHANNEL)
        elif how == "sharded":
            await listener.ssubscribe(CHANNEL)
        if how != "none":
            await listener.get_message(timeout=1)
        observer = ChannelObserver(store, Channel(role="cache_redis", name=CHANNEL))

        async def tap() -> None:
            for number in range(ROUNDS):
                async for _ in observer.watch(number % 5 / 1000):
                    pass

        async def count() -> set[tuple[str, ...]]:
            seen = set()
            while not all(one.done() for one in taps):
                seen.add(tuple(str(item.attributes["how"]) for item in await subscribers(store, CHANNEL)))
            return seen

        try:
            taps = [asyncio.create_task(tap()) for _ in range(2)]
            assert await count() == {() if how == "none" else (how,)}
            await asyncio.gather(*taps)
            assert not +store.taps.open
        finally:
            await listener.aclose()  # type: ignore[no-untyped-call]
            await other.aclose()
            await store.close()
