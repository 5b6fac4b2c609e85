"""A Redis server for one test module, with an administrator who writes and a store that reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio
from pydantic import SecretStr

from fixtures.services.redis import Redis, RedisGrant
from tests.verifier.stores.nights import Nights
from verifier.model.verdict import Judgement
from verifier.profile.relations import Channel, Relation
from verifier.profile.roles import RedisRole
from verifier.proofs.absence.proof import Absence
from verifier.stores.redis.channels import ChannelObserver
from verifier.stores.redis.observer import KeysObserver
from verifier.stores.redis.store import RedisStore

CHANNEL = Channel(role="cache_redis", name="chat:notification", only_channel=True)
KEYS = Relation.model_validate(
    {"role": "cache_redis", "keys": "presence:{user_id}", "key": "user_id", "columns": {"user_id": "{user_id}"}}
)
TOKENS = Relation.model_validate(
    {"role": "cache_redis", "keys": "presence:{user_id}", "key": "user_id", "columns": {"user_id": "@value"}}
)
OBSERVE_S = 1.0
COUNTED, TAPPED, SCANNED = "counters of the server", "a subscription of the verifier", "appeared or was renewed"
Act = Callable[[Any], Awaitable[Any]]


class RedisWorld:
    """One database index of a server that no other test uses."""

    def __init__(self, server: Redis, grant: RedisGrant) -> None:
        self.server, self.grant = server, grant

    @contextlib.asynccontextmanager
    async def client(self, url: str | None = None) -> AsyncIterator[Any]:
        """A client with the administrator's rights."""
        client = redis.asyncio.Redis.from_url(url or self.grant.admin)
        try:
            yield client
        finally:
            await client.aclose()

    @contextlib.asynccontextmanager
    async def store(self, url: str | None = None) -> AsyncIterator[RedisStore]:
        """A connected store with the verifier's credential."""
        store = RedisStore("cache_redis", RedisRole(url=SecretStr(url or self.grant.verifier)))
        await store.connect()
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def nights(self, target: Channel | Relation, *, url: str | None = None) -> AsyncIterator[Nights]:
        """An absence proof over a channel or a key pattern, its baseline taken."""
        async with self.store(url) as store:
            if isinstance(target, Channel):
                proof = Absence(target="chat", kind="channel", operations=frozenset({"publish"}))
                nights = Nights(proof, ChannelObserver(store, target), target, store)
            else:
                proof = Absence(target="presence", operations=frozenset({"insert"}))
                nights = Nights(proof, KeysObserver(store, target), target, store)
            await nights.baseline()
            yield nights

    async def during(self, nights: Nights, act: Act) -> Judgement:
        """The judgement of a night in whose observation something happens."""
        nights.observe_s = OBSERVE_S
        async with self.client() as client:
            judging = asyncio.create_task(nights.night())
            await asyncio.sleep(OBSERVE_S / 3)
            await act(client)
            return await judging

    async def before(self, nights: Nights, *acts: Act) -> Judgement:
        """The judgement of a night before which something happened."""
        async with self.client() as client:
            for act in acts:
                await act(client)
        return await nights.night()
