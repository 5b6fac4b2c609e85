"""One Redis server: its connections by database index, its identity, and the verifier's own subscriptions on it."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import redis.asyncio
from redis import exceptions
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.maint_notifications import MaintNotificationsConfig

from verifier.profile.roles import RedisRole
from verifier.stores.budget import Budget
from verifier.stores.errors import StoreError, Unreachable
from verifier.stores.redis.address import Address
from verifier.stores.redis.errors import translate
from verifier.stores.redis.guard import (
    Greeting,
    Guarded,
    GuardedConnection,
    GuardedTLSConnection,
    GuardedUnixConnection,
)
from verifier.stores.statement_log import StatementLog

T = TypeVar("T")
CLIENT_NAME = "openim-verifier"
_RETRY_PAUSE_S = 0.1


class Taps:
    """The verifier's own subscriptions ("taps") on one server, so that a count of a channel's listeners can leave them out.

    `open`: the number of taps by way ("exactly" or "sharded") and channel. A count and what is subtracted from it must be of the
    same moment, so `lock` is held while a tap opens or closes and while listeners are counted.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.open: collections.Counter[tuple[str, str]] = collections.Counter()


_TAPS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Taps]] = WeakKeyDictionary()


def taps_of(server: str) -> Taps:
    """The taps on a server in this event loop. Several roles may share a server."""
    return _TAPS.setdefault(asyncio.get_running_loop(), {}).setdefault(server, Taps())


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """What all servers of a role share: the role, its limits, and how to log in."""

    role: str
    config: RedisRole
    budget: Budget
    statement_log: StatementLog
    user: str | None
    password: str | None
    tls: bool
    index: int
    options: Mapping[str, Any] = field(default_factory=dict)


class Node:
    """One server. `index` is the database index that the role's URL names.

    Attributes:
        name: how messages call it; "" where the role has this server alone.
        node_id: its id in a cluster.
        run_id: the id of the server's process; "" where the server does not tell.
        slots: the slots of a cluster that it serves, as (first, last).
        primary: whether it takes writes, so that its keys are the current ones.
    """

    def __init__(self, wiring: Wiring, address: Address, *, name: str = "", node_id: str = "") -> None:
        self._wiring = wiring
        self.address = address
        self.name = name
        self.node_id = node_id
        self.index = wiring.index
        self.label = f"{wiring.role} (Redis{f' {name}' if name else ''})"
        self.run_id = ""
        self.slots: tuple[tuple[int, int], ...] = ()
        self.primary = True
        log = wiring.statement_log
        self._greeting = Greeting(
            sent=lambda sent: log.note(sent, f"{sent} (setting up a connection)"), name=CLIENT_NAME
        )
        self._drivers: dict[int, redis.asyncio.Redis] = {}

    @property
    def driver(self) -> redis.asyncio.Redis:
        """The driver's client for the role's own database index. Its connections pack allowed commands only."""
        return self.at(self.index)

    def at(self, index: int) -> redis.asyncio.Redis:
        """The driver's client for a database index, on connections of its own."""
        if index not in self._drivers:
            self._drivers[index] = redis.asyncio.Redis(connection_pool=self._pool(index))
        return self._drivers[index]

    def _pool(self, index: int) -> ConnectionPool:
        wiring, config = self._wiring, self._wiring.config
        options: dict[str, Any] = dict(wiring.options)
        kind: type[Guarded] = GuardedConnection
        if self.address.path:
            kind, options["path"] = GuardedUnixConnection, self.address.path
        else:
            options |= {"host": self.address.host, "port": self.address.port}
        if wiring.tls:
            kind = GuardedTLSConnection
            options |= {"ssl_certfile": config.tls_certificate_file, "ssl_keyfile": config.tls_key_file}
            if config.tls_ca_file:
                options["ssl_ca_certs"] = config.tls_ca_file
            if not config.tls_check_hostname:
                options["ssl_check_hostname"] = False
        return ConnectionPool(
            connection_class=kind,
            greeting=self._greeting,
            db=index,
            username=wiring.user,
            password=wiring.password,
            # RESP3 begins with HELLO, which Redis before version 6 does not have and an ACL may forbid.
            **{"protocol": 2, **options},
            # Otherwise the driver asks for maintenance notices at each connect, by a command that only some servers have.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            socket_connect_timeout=config.connect_timeout_s,
            socket_timeout=config.operation_timeout_s,
            retry=Retry(ConstantBackoff(_RETRY_PAUSE_S), 1),
        )

    @property
    def no_touch(self) -> bool:
        """Whether the verifier's reads leave the idle times of keys unchanged."""
        return self._greeting.no_touch is True

    @property
    def taps(self) -> Taps:
        """The verifier's own subscriptions on this server, also those of other roles."""
        return taps_of(self.run_id or f"{self._wiring.role} {self.address}")

    def serves(self, slot: int) -> bool:
        """Whether a slot of the cluster is here."""
        return any(first <= slot <= last for first, last in self.slots)

    async def connect(self) -> None:
        """Connect, and read the id of the server's process."""
        await self.run("PING", self._ping())
        with suppress(StoreError):
            self.run_id = str((await self.info("server")).get("run_id", ""))

    async def _ping(self) -> None:
        # A hung server still accepts connections. It must not use up the role's time for statements.
        limit_s = self._wiring.config.connect_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await self.driver.ping()
        except TimeoutError:
            raise exceptions.TimeoutError(f"it does not answer within {limit_s:g} s") from None

    async def close(self) -> None:
        """Close every connection."""
        for driver in self._drivers.values():
            with suppress(Exception):
                await driver.aclose(close_connection_pool=True)
        self._drivers = {}

    def send(self, *arguments: str) -> Awaitable[Any]:
        """Send a command for which the driver has no method."""
        command: Awaitable[Any] = self.driver.execute_command(*arguments)  # type: ignore[no-untyped-call]
        return command

    async def run(
        self, what: str, command: Awaitable[T], *, count: int = 1, rows: int = 0, statement: str | None = None
    ) -> T:
        """Await a command, or a pipeline of `count` commands, within the budget, and translate its errors.

        `what`: the kind of command for the log; `statement`: its normal form; `rows`: the number of keys that it reads.
        `count` is 0 for a subscription, which waits on purpose and sends nothing.
        """
        form = statement or what
        wiring = self._wiring

        async def work() -> T:
            if count:
                wiring.statement_log.note(what, form, count=count)
            return await command

        try:
            return await wiring.budget.run(work, kind=form if count else None, rows=lambda _: rows)
        except exceptions.RedisError as error:
            raise self.translate(error) from None
        except OSError as error:
            raise Unreachable(f"{self.label} cannot be reached ({error.strerror or type(error).__name__}).") from None
        except (TypeError, ValueError, LookupError, AttributeError) as error:  # the driver could not parse the answer
            raise StoreError(
                f"{self.label} answered {what} in an unknown form ({type(error).__name__}). Is it a proxy or another product?"
            ) from None
        finally:
            if asyncio.iscoroutine(command):
                command.close()  # the budget may have refused the command before it was awaited

    def translate(self, error: exceptions.RedisError) -> StoreError:
        """An error of this server as a sentence."""
        return translate(error, self.label, self._wiring.role)

    @asynccontextmanager
    async def pubsub(self) -> AsyncIterator[Any]:
        """A subscriber with its own connection, which is closed at the end."""
        subscriber = self.driver.pubsub(ignore_subscribe_messages=False)
        try:
            yield subscriber
        finally:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await subscriber.aclose()  # type: ignore[no-untyped-call]

    async def info(self, section: str) -> dict[str, Any]:
        """`INFO section`, parsed by the driver."""
        return dict(await self.run(f"INFO {section}", self.driver.info(section)))

    async def clock(self) -> datetime:
        """The server's clock."""
        seconds, microseconds = await self.run("TIME", self.driver.time())
        return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
