"""Redis or Valkey: the servers of a role, and the connections to them, which pack allowed commands only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import redis.asyncio
from redis.crc import key_slot

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import RedisRole
from verifier.stores.budget import Budget
from verifier.stores.errors import StoreError, Unreachable
from verifier.stores.redis.address import DEFAULT_PORTS, parse_redis_url
from verifier.stores.redis.discovery import Discovery, discovery_for
from verifier.stores.redis.layout import Layout
from verifier.stores.redis.node import Node, Taps, Wiring
from verifier.stores.statement_log import StatementLog

T = TypeVar("T")
LAYOUT_AGE_S = 5.0
"""How long a layout is used before it is read again."""


class RedisClient:
    """The servers of one role, and a database index on them. Every command passes `require_read_command`."""

    clock_grain_s = 0.0

    def __init__(
        self,
        role: str,
        config: RedisRole,
        budget: StoreBudget | None = None,
        foreign_keys: tuple[str, ...] = (),
    ) -> None:
        self.role = role
        self.config = config
        self.label = f"{role} (Redis)"
        self.statement_log = StatementLog()
        self.limits = budget or StoreBudget()
        self.budget = Budget(
            self.limits, timeout_s=config.operation_timeout_s, store=self.label, statement_log=self.statement_log
        )
        self.index = 0
        self.foreign_keys = foreign_keys
        self._discovery: Discovery | None = None
        self._layout: Layout | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def connect(self) -> None:
        """Find the servers, and connect to each."""
        mode = self.config.mode
        url = parse_redis_url(
            self.config.url.get_secret_value(), where=f"roles.{self.role}.url", default_port=DEFAULT_PORTS[mode]
        )
        self.index = url.index
        wiring = Wiring(
            role=self.role,
            config=self.config,
            budget=self.budget,
            statement_log=self.statement_log,
            user=url.user,
            password=url.password,
            tls=url.tls,
            index=url.index,
            options=url.options,
        )
        self._discovery = discovery_for(wiring, url.addresses)
        await self.layout(fresh=True)

    async def layout(self, *, fresh: bool = False) -> Layout:
        """The servers of the role; read again where the known layout is older than some seconds, or `fresh` is set."""
        if self._discovery is None:
            raise Unreachable(f"{self.label} is not connected.")
        async with self._reading:
            single = self.config.mode in ("single", "replica")
            old = not single and time.monotonic() - self._read_at > LAYOUT_AGE_S
            if self._layout is None or fresh or old:
                self._layout = None
                self._layout = await self._discovery.read()
                self._read_at = time.monotonic()
            return self._layout

    def forget_layout(self) -> None:
        """Read the layout again before the next command: a server did not answer as the present one promises."""
        self._read_at = -LAYOUT_AGE_S

    async def node_of(self, key: bytes) -> Node:
        """The server that has a key."""
        layout = await self.layout()
        if self.config.mode != "cluster":
            return layout.shards[0]
        slot = key_slot(key)
        for node in layout.shards:
            if node.serves(slot):
                return node
        raise StoreError(f"{self.label}: no server of the cluster has slot {slot}. Repair the cluster, then run again.")

    @property
    def _first(self) -> Node:
        if self._layout is None:
            raise Unreachable(f"{self.label} is not connected.")
        return self._layout.shards[0]

    @property
    def driver(self) -> redis.asyncio.Redis:
        """The driver's client for the first server. Its connections pack allowed commands only."""
        return self._first.driver

    @property
    def server_run(self) -> str:
        """The id of the first server's process; "" where it does not tell."""
        return self._first.run_id

    @property
    def no_touch(self) -> bool:
        """Whether the verifier's reads leave the idle times of keys unchanged."""
        return self._layout is not None and all(node.no_touch for node in self._layout.shards)

    @property
    def taps(self) -> Taps:
        """The verifier's own subscriptions on the first server, also those of other roles."""
        return self._first.taps

    async def close(self) -> None:
        """Close every connection."""
        if self._discovery is not None:
            await self._discovery.close()

    def send(self, *arguments: str) -> Awaitable[Any]:
        """Send the first server a command for which the driver has no method."""
        return self._first.send(*arguments)

    async def run(
        self, what: str, command: Awaitable[T], *, count: int = 1, rows: int = 0, statement: str | None = None
    ) -> T:
        """As `Node.run`, on the first server."""
        return await self._first.run(what, command, count=count, rows=rows, statement=statement)

    @asynccontextmanager
    async def pubsub(self) -> AsyncIterator[Any]:
        """A subscriber on the first server, with its own connection."""
        async with self._first.pubsub() as subscriber:
            yield subscriber

    async def info(self, section: str) -> dict[str, Any]:
        """`INFO section` of the first server, parsed by the driver."""
        return await self._first.info(section)

    async def clock(self) -> datetime:
        """The first server's clock."""
        return await (await self.layout()).shards[0].clock()

    async def version(self) -> str:
        """`Valkey 9.1.2` or `Redis 7.0.15`, and the number of servers where there are several."""
        nodes = (await self.layout()).listening
        names = []
        for node in nodes:
            facts = await node.info("server")
            valkey = facts.get("valkey_version")
            names.append(f"Valkey {valkey}" if valkey else f"Redis {facts.get('redis_version', '?')}")
        text = ", ".join(dict.fromkeys(names))
        return f"{text} ({len(nodes)} servers)" if len(nodes) > 1 else text
