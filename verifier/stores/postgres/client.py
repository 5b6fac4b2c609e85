"""PostgreSQL: connections, and the only methods through which statements are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import PostgresRole
from verifier.stores.budget import Budget
from verifier.stores.errors import Forbidden, Unreachable
from verifier.stores.postgres.connection import Connection, Connector
from verifier.stores.postgres.failures import Overtaken, translate
from verifier.stores.postgres.guard import require_read_only_sql
from verifier.stores.postgres.session import Session
from verifier.stores.statement_log import StatementLog

T = TypeVar("T")
GRACE_S = 1.0
"""How much longer the client waits than the server, which cancels a statement itself."""
CANCEL_S = 1.0
LAG_MAX_S = 5.0


class PostgresClient:
    """Connections to one database. Every statement passes `require_read_only_sql` and runs in a READ ONLY transaction.

    `lag_max_s`: how far a standby may be behind its primary, in seconds.
    """

    clock_grain_s = 0.0

    def __init__(
        self, role: str, config: PostgresRole, budget: StoreBudget | None = None, *, lag_max_s: float = LAG_MAX_S
    ) -> None:
        self.role = role
        self.config = config
        self.statement_log = StatementLog()
        self.limits = budget or StoreBudget()
        self.server_version = 0
        self._limit_s = min(self.limits.statement_timeout_s or config.operation_timeout_s, config.operation_timeout_s)
        self.budget = Budget(
            self.limits,
            timeout_s=self._limit_s,
            grace_s=GRACE_S,
            store=self.label,
            statement_log=self.statement_log,
        )
        self._connector = Connector(role, self.label, config)
        self._session = Session(
            self.label, role, statement_s=self._limit_s, lock_s=self.limits.lock_timeout_s, lag_max_s=lag_max_s
        )
        self._idle: list[Connection] = []
        self._all: list[Connection] = []
        self._zones: tuple[str, ...] | None = None
        self._types: dict[str, list[int]] = {}
        self._categories: dict[int, str] = {}

    @property
    def label(self) -> str:
        """Name for messages."""
        return f"{self.role} (PostgreSQL)"

    async def connect(self) -> None:
        """Open the first connection; others are opened when they are needed."""
        self._idle.append(await self._open())

    async def _open(self) -> Connection:
        connection = await self._connector.open()
        self.server_version = connection.info.server_version
        self._all = [item for item in self._all if not item.closed]
        self._all.append(connection)
        return connection

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._all:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await connection.close()

    async def fetch(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        what: str = "select",
        optional: bool = False,
    ) -> list[dict[str, Any]]:
        """Run one allowed SELECT in its own READ ONLY transaction and return all rows; the caller bounds them.

        `what`: the kind of statement for the log. `optional`: see `Budget.run`. Raises Forbidden, or StoreError as in
        `verifier.stores.errors`.
        """
        self._guard(sql if parameters is None else sql.replace("%%", "%"))  # as the driver sends it
        return await self.budget.run(lambda: self._fetch(sql, parameters, what), kind=sql, rows=len, optional=optional)

    def _guard(self, sql: str) -> None:
        try:
            require_read_only_sql(sql)
        except Forbidden:
            self.statement_log.refused += 1
            raise

    async def type_of(self, sql: str) -> int:
        """The type OID of a SELECT's first column, without reading a row."""
        return (await self.types_of(sql) or [0])[0]

    async def types_of(self, sql: str) -> list[int]:
        """The type OIDs of a SELECT's columns; a domain has that of its base type. The caller makes it return no row."""
        self._guard(sql)
        if sql in self._types:
            return self._types[sql]

        async def describe(connection: Connection) -> list[int]:
            self.statement_log.note("describe", sql)
            cursor = await connection.execute(sql)
            return [column.type_code for column in cursor.description or ()]

        self._types[sql] = await self.budget.run(lambda: self._transact(describe), kind=sql)
        return self._types[sql]

    async def category(self, oid: int) -> str:
        """The category of a type, as `pg_type.typcategory` has it: A is an array, E an enum; C for a row type and every other
        type whose values cannot be compared."""
        if oid not in self._categories:
            rows = await self.fetch(_CATEGORY, {"oid": oid}, what="read types")
            self._categories[oid] = rows[0]["category"] if rows else ""
        return self._categories[oid]

    async def _fetch(self, sql: str, parameters: Mapping[str, Any] | None, what: str) -> list[dict[str, Any]]:
        async def read(connection: Connection) -> list[dict[str, Any]]:
            self.statement_log.note(what, sql)
            cursor = await connection.execute(sql, parameters)
            return await cursor.fetchall()

        return await self._transact(read)

    async def _transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work in a READ ONLY transaction of its own. A statement that a standby cancelled is sent once more."""
        try:
            async with self._borrow() as connection:
                return await self._unless_cancelled(connection, work)
        except Overtaken:
            async with self._borrow() as connection:
                return await self._unless_cancelled(connection, work)

    async def _unless_cancelled(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work. If this task is cancelled, cancel the statement and give the connection up, without waiting for a server
        that is mute."""
        task = asyncio.ensure_future(work(connection))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(CANCEL_S):
                    await connection.cancel_safe(timeout=CANCEL_S)
            connection.pgconn.finish()
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_S)
            if task.done() and not task.cancelled():
                task.exception()  # retrieved, so that the event loop does not print it
            raise

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[Connection]:
        """A connection inside a READ ONLY transaction. A broken one is closed, not reused."""
        connection = None
        try:
            connection = await self._begun()
            yield connection
            await connection.execute("COMMIT")
        except psycopg.Error as error:
            if connection is not None and not connection.closed:
                with suppress(psycopg.Error):
                    await self._unless_cancelled(connection, _roll_back)
            raise translate(error, self.label, self._limit_s) from None
        except OSError as error:
            raise Unreachable(
                f"{self.label}: the connection broke ({error.strerror or type(error).__name__})."
            ) from None
        finally:
            if connection is not None:
                await self._return(connection)

    async def _return(self, connection: Connection) -> None:
        if connection.closed or connection.info.transaction_status != pq.TransactionStatus.IDLE:
            await connection.close()
        else:
            self._idle.append(connection)

    async def _begun(self) -> Connection:
        """A connection that has begun a transaction. One that broke while it was idle is replaced."""
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._begin(connection)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
        return await self._begin(await self._open())

    async def _begin(self, connection: Connection) -> Connection:
        async def begin(connection: Connection) -> None:
            await self._session.begin(connection, self._connector.settings)

        try:
            await self._unless_cancelled(connection, begin)
        except BaseException:
            if not connection.closed:
                connection.pgconn.finish()
            raise
        return connection

    async def zones(self) -> tuple[str, ...]:
        """The time zones other than UTC in the settings of the server, of this database and of roles that can insert, in which
        sessions may write times without a zone."""
        if self._zones is None:
            rows = await self.fetch(_ZONES, what="read time zones")
            self._zones = tuple(sorted({row["zone"] for row in rows if row["zone"].lower() not in _LIKE_UTC}))
        return self._zones

    async def clock(self) -> datetime:
        """The server's clock."""
        rows = await self.fetch("SELECT clock_timestamp() AS now", what="clock")
        return _utc(rows[0]["now"])

    async def version(self) -> str:
        """`PostgreSQL 18.0`."""
        rows = await self.fetch("SELECT version() AS version", what="version")
        return " ".join(str(rows[0]["version"]).split()[:2])


_LIKE_UTC = frozenset(
    """
    utc etc/utc uct etc/uct gmt etc/gmt universal etc/universal zulu etc/zulu greenwich etc/greenwich gmt0 etc/gmt0 gmt+0 gmt-0
    etc/gmt+0 etc/gmt-0 0 +0 -0 00 +00 -00 +00:00 -00:00 <+00>-00 <+00>+00
    """.split()
)
_CATEGORY = """
SELECT CASE WHEN typcategory = 'U' AND NOT EXISTS (
         SELECT 1 FROM pg_operator WHERE oprname = '>' AND oprleft = t.oid AND oprright = t.oid
       ) THEN 'C' ELSE typcategory::text END AS category
  FROM pg_type AS t WHERE oid = %(oid)s
"""
_ZONES = """
SELECT reset_val AS zone FROM pg_settings WHERE name = 'TimeZone'
UNION
SELECT split_part(item, '=', 2) FROM pg_db_role_setting CROSS JOIN LATERAL unnest(setconfig) AS item
 WHERE lower(item) LIKE 'timezone=%' AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
   AND (setrole = 0 OR EXISTS (
     SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'
        AND has_table_privilege(setrole, c.oid, 'INSERT')))
"""


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


async def _roll_back(connection: Connection) -> None:
    await connection.execute("ROLLBACK")
