"""The places where keys of a role may be: its servers, and the database indexes on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from verifier.stores.budget import ChunkSizer
from verifier.stores.errors import StoreError
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.node import Node


@dataclass(frozen=True, slots=True)
class Place:
    """A database index on one server."""

    node: Node
    index: int

    @property
    def driver(self) -> Any:
        """The driver's client for it."""
        return self.node.at(self.index)

    @property
    def name(self) -> str:
        """For messages: `database 3`, with the server where the role has several."""
        return f"database {self.index}" + (f" of {self.node.name}" if self.node.name else "")


@dataclass(frozen=True, slots=True)
class Places:
    """`own`: the role's index on each server; `others`: other indexes that hold keys; `unread`: those that cannot be read
    or are not known, in words."""

    own: tuple[Place, ...]
    others: tuple[Place, ...] = ()
    unread: tuple[str, ...] = ()


async def own_places(client: RedisClient) -> Places:
    """The role's own database index on each server."""
    return Places(own=tuple(Place(node, node.index) for node in (await client.layout()).shards))


async def all_places(client: RedisClient) -> Places:
    """Every database index with keys, by INFO keyspace. Each other index is entered by SELECT on connections of its own."""
    own = (await own_places(client)).own
    if client.config.mode == "cluster":
        return Places(own=own)  # a cluster has database 0 only
    others, unread = [], []
    for place in own:
        try:
            filled = await place.node.info("keyspace")
        except StoreError as error:
            unread.append(f"keys in other database indexes ({error})")
            continue
        for index in sorted(int(name[2:]) for name in filled if name.startswith("db") and name[2:].isdigit()):
            if index == place.index:
                continue
            other = Place(place.node, index)
            try:
                await place.node.run("SELECT", other.driver.ping())
                others.append(other)
            except StoreError as error:
                unread.append(f"keys in {other.name} ({error})")
    return Places(own=own, others=tuple(others), unread=tuple(unread))


async def scan(client: RedisClient, place: Place, glob: str, *, kind: str | None = None) -> AsyncIterator[list[bytes]]:
    """The keys of a place that match a glob, by SCAN; `kind` limits them to one type. A key may come twice."""
    cursor: int | None = None
    sizer = ChunkSizer(client.limits, at_most=client.config.chunk_rows)

    async def step(count: int) -> tuple[int, list[bytes | str]]:
        command = place.driver.scan(cursor or 0, match=glob, count=count, _type=kind)
        found: tuple[int, list[bytes | str]] = await place.node.run("SCAN", command, statement=f"SCAN MATCH {glob}")
        return found

    while cursor != 0:
        cursor, keys = await sizer.take(step)
        if keys:
            yield [key if isinstance(key, bytes) else key.encode() for key in keys]
