"""Redis or Valkey: connections that pack allowed commands only."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import redis.asyncio
from redis import exceptions
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.maint_notifications import MaintNotificationsConfig

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import RedisRole
from verifier.stores.budget import Budget
from verifier.stores.errors import Denied, StoreError, Unreachable
from verifier.stores.redis.guard import Greeting, GuardedConnection, GuardedTLSConnection
from verifier.stores.statement_log import StatementLog

T = TypeVar("T")
CLIENT_NAME = "openim-verifier"


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


class RedisClient:
    """Connections to one Redis server and database index. Every command passes `require_read_command`."""

    clock_grain_s = 0.0

    def __init__(self, role: str, config: RedisRole, budget: StoreBudget | None = None) -> None:
        self.role = role
        self.config = config
        self.label = f"{role} (Redis)"
        self.statement_log = StatementLog()
        self.limits = budget or StoreBudget()
        self.budget = Budget(
            self.limits, timeout_s=config.operation_timeout_s, store=self.label, statement_log=self.statement_log
        )
        self._client: redis.asyncio.Redis | None = None
        self._greeting = Greeting(sent=lambda name: self.statement_log.note(name, f"{name} (setting up a connection)"))
        self.server_run = ""

    @property
    def driver(self) -> redis.asyncio.Redis:
        """The driver's client. Its connections pack allowed commands only."""
        if self._client is None:
            raise Unreachable(f"{self.label} is not connected.")
        return self._client

    async def connect(self) -> None:
        """Connect, ask the server to leave idle times alone, and read the server's run id."""
        try:
            options: dict[str, Any] = dict(parse_url(self.config.url.get_secret_value()))
        except ValueError as error:
            raise StoreError(f"{self.label}: the URL cannot be used ({error}). Check roles.{self.role}.url.") from None
        tls = options.pop("connection_class", None) is not None
        if tls:
            options |= {"ssl_ca_certs": self.config.tls_ca_file, "ssl_certfile": self.config.tls_certificate_file}
            options |= {"ssl_keyfile": self.config.tls_key_file}
        pool = ConnectionPool(
            connection_class=GuardedTLSConnection if tls else GuardedConnection,
            client_name=CLIENT_NAME,
            greeting=self._greeting,
            # Otherwise the driver asks for maintenance notices at each connect, by a command that only some servers have.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            socket_connect_timeout=self.config.connect_timeout_s,
            socket_timeout=self.config.operation_timeout_s,
            **options,
        )
        self._client = redis.asyncio.Redis(connection_pool=pool)
        await self.run("PING", self.driver.ping())
        with suppress(StoreError):
            self.server_run = str((await self.info("server")).get("run_id", ""))

    @property
    def no_touch(self) -> bool:
        """Whether the verifier's reads leave the idle times of keys unchanged."""
        return self._greeting.no_touch is True

    @property
    def taps(self) -> Taps:
        """The verifier's own subscriptions on this server, also those of other roles."""
        return taps_of(self.server_run or self.role)

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            with suppress(Exception):
                await self._client.aclose(close_connection_pool=True)

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

        async def work() -> T:
            if count:
                self.statement_log.note(what, form, count=count)
            return await command

        try:
            return await self.budget.run(work, kind=form if count else None, rows=lambda _: rows)
        except exceptions.RedisError as error:
            raise self._translate(error) from None
        except OSError as error:
            raise Unreachable(f"{self.label} cannot be reached ({error.strerror or type(error).__name__}).") from None

    def _translate(self, error: exceptions.RedisError) -> StoreError:
        text = (str(error) or type(error).__name__).rstrip(".")
        match error:
            case exceptions.AuthenticationError() | exceptions.AuthenticationWrongNumberOfArgsError():
                return Denied(
                    f"{self.label} refused the user or password of roles.{self.role}.url. Correct it, or the secret that it comes from."
                )
            case exceptions.NoPermissionError():
                return Denied(f"{self.label}: {text}. Grant it to the verifier's ACL user.")
            case exceptions.ConnectionError() | exceptions.TimeoutError():
                return Unreachable(
                    f"{self.label} cannot be reached: {text}. Is it up, and is roles.{self.role}.url right?"
                )
            case _:
                return StoreError(f"{self.label}: {text}.")

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

    async def version(self) -> str:
        """`Valkey 9.1.2` or `Redis 7.0.15`."""
        facts = await self.info("server")
        if "valkey_version" in facts:
            return f"Valkey {facts['valkey_version']}"
        return f"Redis {facts.get('redis_version', '?')}"
