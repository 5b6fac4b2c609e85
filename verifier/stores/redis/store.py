"""Redis or Valkey: connections that can only read, the clock, the privileges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import redis.asyncio
from redis import exceptions
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.maint_notifications import MaintNotificationsConfig

from verifier.model.query import Rows
from verifier.profile.budgets import StoreBudget
from verifier.profile.relations import Channel, Relation
from verifier.profile.roles import RedisRole
from verifier.profile.timing import Timing
from verifier.stores.budget import Budget
from verifier.stores.errors import Denied, StoreError, Unreachable
from verifier.stores.protocols import Privilege, StoreObject
from verifier.stores.redis.guard import Greeting, GuardedConnection, GuardedTLSConnection
from verifier.stores.redis.taps import Taps, taps_of
from verifier.stores.statement_log import StatementLog

if TYPE_CHECKING:
    from verifier.stores.redis.observer import ChannelObserver, KeysObserver
    from verifier.stores.redis.source import RedisSource

T = TypeVar("T")
CLIENT_NAME = "openim-verifier"


class RedisStore:
    """One Redis server, at one database index; every command passes `require_read_command`."""

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
    def client(self) -> redis.asyncio.Redis:
        """The connected client; its connections pack allowed commands only."""
        if self._client is None:
            raise Unreachable(f"{self.label} is not connected.")
        return self._client

    async def connect(self) -> None:
        """Connect, and ask the server not to count our reads as use of a key."""
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
            # The driver would ask a server for maintenance notices at each connect: a command that only some servers know.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            socket_connect_timeout=self.config.connect_timeout_s,
            socket_timeout=self.config.operation_timeout_s,
            **options,
        )
        self._client = redis.asyncio.Redis(connection_pool=pool)
        await self.run("PING", self.client.ping())
        with suppress(StoreError):
            self.server_run = str((await self.info("server")).get("run_id", ""))

    @property
    def no_touch(self) -> bool:
        """Whether our reads leave the idle times of keys as they are."""
        return self._greeting.no_touch is True

    @property
    def taps(self) -> Taps:
        """The verifier's own subscriptions on this server, whichever role it came by."""
        return taps_of(self.server_run or self.role)

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            with suppress(Exception):
                await self._client.aclose(close_connection_pool=True)

    def send(self, *arguments: str) -> Awaitable[Any]:
        """A command that the driver has no method for."""
        command: Awaitable[Any] = self.client.execute_command(*arguments)  # type: ignore[no-untyped-call]
        return command

    async def run(
        self, what: str, command: Awaitable[T], *, count: int = 1, rows: int = 0, statement: str | None = None
    ) -> T:
        """Await a command, or a pipeline of `count`, inside the budget; its errors are told in sentences.

        `rows`: the keys that it reads. A `count` of 0 is for what waits on purpose and sends nothing: a subscription.
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
                    f"{self.label} refused the user or password of roles.{self.role}.url. Correct it, or the secret it comes from."
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
        """A subscriber of its own connection, closed on the way out."""
        subscriber = self.client.pubsub(ignore_subscribe_messages=False)
        try:
            yield subscriber
        finally:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await subscriber.aclose()  # type: ignore[no-untyped-call]

    def source(self, relation: Relation, rows: Rows) -> RedisSource:
        """The records behind a key pattern."""
        from verifier.stores.redis.source import RedisSource

        return RedisSource(self, relation, rows)

    def observer(
        self, target: Relation | Channel, columns: tuple[str, ...], timing: Timing
    ) -> ChannelObserver | KeysObserver:
        """What watches a channel or a key pattern for writes."""
        from verifier.stores.redis.observer import ChannelObserver, KeysObserver

        return ChannelObserver(self, target) if isinstance(target, Channel) else KeysObserver(self, target)

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """`subscribers:CHANNEL`: who listens on a channel, exactly or by pattern, the verifier's own taps left out."""
        prefix, _, channel = kind.partition(":")
        if prefix != "subscribers":
            raise ValueError(f"{self.label} lists subscribers, not {kind}")
        from verifier.stores.redis.listing import subscribers

        return await subscribers(self, channel)

    async def info(self, section: str) -> dict[str, Any]:
        """`INFO section`, parsed by the driver."""
        return dict(await self.run(f"INFO {section}", self.client.info(section)))

    async def clock(self) -> datetime:
        """The server's clock."""
        seconds, microseconds = await self.run("TIME", self.client.time())
        return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)

    async def version(self) -> str:
        """`Valkey 9.1.2` or `Redis 7.0.15`."""
        facts = await self.info("server")
        if "valkey_version" in facts:
            return f"Valkey {facts['valkey_version']}"
        return f"Redis {facts.get('redis_version', '?')}"

    async def privileges(self) -> Sequence[Privilege]:
        """Asks the server, by ACL DRYRUN, whether this user could write; nothing is executed."""
        try:
            user = await self.run("ACL WHOAMI", self.client.acl_whoami())
            name = user.decode() if isinstance(user, bytes) else str(user)
            could = []
            for command in (
                ("SET", "verifier:probe", "1"),
                ("DEL", "verifier:probe"),
                ("PUBLISH", "verifier:probe", "1"),
                ("CONFIG", "SET", "maxmemory", "0"),
            ):
                answer = await self.run("ACL DRYRUN", self.send("ACL", "DRYRUN", name, *command))
                if answer in (b"OK", "OK", True):
                    could.append(" ".join(command[:2]) if command[0] == "CONFIG" else command[0])
        except StoreError as error:
            return [Privilege(self.label, "could it write?", "unknown", f"the server does not say ({error})")]
        if could:
            return [Privilege(self.label, "writing commands", "too_many", f"user {name} may {', '.join(could)}")]
        return [Privilege(self.label, "read only", "ok", f"user {name} may not SET, DEL, PUBLISH or CONFIG SET")]
