"""Helpers of the tests that read: a connected store, and the ids that a source hands out and finds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pydantic import SecretStr

from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.profile.roles import RedisRole
from verifier.stores.protocols import Completeness
from verifier.stores.redis.source import RedisSource
from verifier.stores.redis.store import RedisStore


@contextlib.asynccontextmanager
async def connected(url: str, **settings: Any) -> AsyncIterator[RedisStore]:
    """A store with these settings of its role."""
    store = RedisStore("cache_redis", RedisRole(url=SecretStr(url), **settings))
    try:
        await store.connect()
        yield store
    finally:
        await store.close()


def tokens(**settings: Any) -> Relation:
    """A relation over keys `im:token:{user_id}`."""
    columns = {"user_id": "{user_id}", "token": "@token", "name": "@key"}
    base = {"role": "cache_redis", "keys": "im:token:{user_id}", "key": "user_id", "columns": columns}
    return Relation.model_validate({**base, **settings})


def source_of(
    store: RedisStore, *columns: str, relation: Relation | None = None, everywhere: bool = False
) -> RedisSource:
    """A source over the tokens, or over another relation."""
    return store.source(relation or tokens(), Rows("im_tokens", columns, everywhere=everywhere))


async def read(source: RedisSource) -> tuple[list[str], Completeness]:
    """The ids of all records, sorted, and what the source says about the reading."""
    found = {str(row["user_id"]) for rows in [chunk async for chunk in source.chunks()] for row in rows}
    return sorted(found), await source.completeness()
