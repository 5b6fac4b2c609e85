"""PostgreSQL: connections, and the only methods through which statements are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.rows import dict_row

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import PostgresRole
from verifier.stores.budget import Budget, TooSlow
from verifier.stores.errors import Denied, Forbidden, Missing, StoreError, Unreachable
from verifier.stores.postgres.guard import require_read_only_sql
from verifier.stores.statement_log import StatementLog


class _LenientText(Loader):
    """Loads text that need not be valid UTF-8: a broken nickname is a finding, not a crash."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", errors="backslashreplace")


def _lenient(context: AdaptContext) -> None:
    for name in ("text", "varchar", "bpchar", "name"):
        context.adapters.register_loader(name, _LenientText)


class PostgresClient:
    """Connections to one database. Every statement passes `require_read_only_sql` and runs in a READ ONLY transaction."""

    clock_grain_s = 0.0

    def __init__(self, role: str, config: PostgresRole, budget: StoreBudget | None = None) -> None:
        self.role = role
        self.config = config
        self.statement_log = StatementLog()
        self.limits = budget or StoreBudget()
        self.budget = Budget(
            self.limits, timeout_s=config.operation_timeout_s, store=self.label, statement_log=self.statement_log
        )
        self._idle: list[psycopg.AsyncConnection[dict[str, Any]]] = []
        self._all: list[psycopg.AsyncConnection[dict[str, Any]]] = []

    @property
    def label(self) -> str:
        """Name for messages."""
        return f"{self.role} (PostgreSQL)"

    async def connect(self) -> None:
        """Open the first connection; others are opened when they are needed."""
        self._idle.append(await self._open())

    async def _open(self) -> psycopg.AsyncConnection[dict[str, Any]]:
        settings: dict[str, Any] = {
            "application_name": "openim-verifier",
            "connect_timeout": max(1, int(self.config.connect_timeout_s)),
            "client_encoding": "utf8",
        }
        if not self.config.pgbouncer:
            timeout_s = self.limits.statement_timeout_s or self.config.operation_timeout_s
            statement_ms, lock_ms = int(timeout_s * 1000), int(self.limits.lock_timeout_s * 1000)
            settings["options"] = (
                f"-c default_transaction_read_only=on -c statement_timeout={statement_ms} -c lock_timeout={lock_ms} "
                f"-c idle_in_transaction_session_timeout={statement_ms}"
            )
        for name, value in (("sslrootcert", "ssl_root_cert"), ("sslcert", "ssl_cert"), ("sslkey", "ssl_key")):
            if (path := getattr(self.config, value)) is not None:
                settings[name] = path
        try:
            async with asyncio.timeout(self.config.connect_timeout_s):
                connection = await psycopg.AsyncConnection.connect(
                    self.config.url.get_secret_value(),
                    row_factory=dict_row,
                    prepare_threshold=None if self.config.pgbouncer else 5,
                    **settings,
                )
        except TimeoutError:
            raise Unreachable(
                f"{self.label} did not accept a connection within {self.config.connect_timeout_s:g} s."
            ) from None
        except psycopg.ProgrammingError as error:
            raise StoreError(
                f"{self.label}: the URL cannot be used ({_first_line(error)}). Check roles.{self.role}.url."
            ) from None
        except psycopg.OperationalError as error:
            raise _connection_error(self.label, self.role, error) from None
        await connection.set_read_only(True)
        _lenient(connection)
        self._all.append(connection)
        return connection

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._all:
            try:
                async with asyncio.timeout(2):
                    await connection.close()
            except Exception:  # noqa: S112 - closing a broken connection may fail in any way
                continue

    async def fetch(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, what: str = "select"
    ) -> list[dict[str, Any]]:
        """Run one allowed SELECT in its own READ ONLY transaction and return all rows; the caller bounds them.

        `what`: the kind of statement for the log. Raises Forbidden, or StoreError as in `verifier.stores.errors`.
        """
        self._guard(sql)
        return await self.budget.run(lambda: self._fetch(sql, parameters, what), kind=sql, rows=len)

    def _guard(self, sql: str) -> None:
        try:
            require_read_only_sql(sql)
        except Forbidden:
            self.statement_log.refused += 1
            raise

    async def type_of(self, sql: str) -> int:
        """The type OID of a SELECT's first column, without reading a row."""
        self._guard(sql)
        return await self.budget.run(lambda: self._describe(sql), kind=sql)

    async def _describe(self, sql: str) -> int:
        async with self._borrow() as connection:
            self.statement_log.note("describe", sql)
            cursor = await connection.execute(sql)
            return cursor.description[0].type_code if cursor.description else 0

    async def _fetch(self, sql: str, parameters: Mapping[str, Any] | None, what: str) -> list[dict[str, Any]]:
        async with self._borrow() as connection:
            self.statement_log.note(what, sql)
            cursor = await connection.execute(sql, parameters)
            return await cursor.fetchall()

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[psycopg.AsyncConnection[dict[str, Any]]]:
        """A connection inside a READ ONLY transaction. A broken one is closed, not reused."""
        connection = self._idle.pop() if self._idle else await self._open()
        try:
            async with connection.transaction():
                yield connection
        except psycopg.Error as error:
            raise self._translate(error) from None
        except OSError as error:
            raise Unreachable(
                f"{self.label}: the connection broke ({error.strerror or type(error).__name__})."
            ) from None
        finally:
            if connection.closed or connection.info.transaction_status != pq.TransactionStatus.IDLE:
                await connection.close()
            else:
                self._idle.append(connection)

    def _translate(self, error: psycopg.Error) -> StoreError:
        text = _first_line(error)
        match error:
            case psycopg.errors.InsufficientPrivilege():
                return Denied(f"{self.label}: {text}. Grant SELECT on it to the verifier's role.")
            case (
                psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn() | psycopg.errors.InvalidSchemaName()
            ):
                return Missing(
                    f"{self.label}: {text}. Correct the relation in the profile, or remove it if the stack has none."
                )
            case psycopg.errors.LockNotAvailable():
                return Unreachable(
                    f"{self.label}: a table is locked by another session ({text}). Try again when the lock is released."
                )
            case psycopg.errors.QueryCanceled():
                return TooSlow(
                    f"{self.label} cancelled a statement after {self.limits.statement_timeout_s or self.config.operation_timeout_s:g} s ({text})."
                )
            case psycopg.errors.SyntaxError() | psycopg.errors.UndefinedFunction() | psycopg.errors.DataError():
                return StoreError(
                    f"{self.label} refused a query: {text}. Check select, where and column expressions in the profile."
                )
            case psycopg.OperationalError():
                return Unreachable(f"{self.label}: the connection broke ({text}). Is the server up?")
            case _:
                return StoreError(f"{self.label}: {text}.")

    async def clock(self) -> datetime:
        """The server's clock."""
        rows = await self.fetch("SELECT clock_timestamp() AS now", what="clock")
        return _utc(rows[0]["now"])

    async def version(self) -> str:
        """`PostgreSQL 18.0`."""
        rows = await self.fetch("SELECT version() AS version", what="version")
        return " ".join(str(rows[0]["version"]).split()[:2])


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _connection_error(label: str, role: str, error: psycopg.OperationalError) -> StoreError:
    text = _first_line(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return Denied(
            f"{label} refused the password of roles.{role}.url. Correct it, or the secret that it comes from."
        )
    if "does not exist" in text:
        return Missing(f"{label}: {text.rpartition('FATAL:')[2].strip()}. Correct roles.{role}.url.")
    reason = text.rpartition("failed: ")[2] or text
    return Unreachable(f"{label} cannot be reached: {reason}. Is it up, and is roles.{role}.url right?")
