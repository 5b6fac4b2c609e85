"""Begins the transactions in which statements are sent: read-only, with settings that make every answer complete and exact.

The settings are set in the transaction itself and read back there. A pooler may give each transaction to another session of the
server, so that settings of a session or of its start are lost, or are those of another client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from psycopg import sql

from verifier.stores.errors import StoreError
from verifier.stores.postgres.connection import Connection
from verifier.stores.postgres.guard import require_read_only_sql

# Sources: https://www.postgresql.org/docs/current/runtime-config-client.html and …/ddl-rowsecurity.html.
_SETTINGS = {
    "row_security": "off",  # an error where a policy would hide rows, instead of an answer without them
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",  # keys of type float are compared with their text form
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}
_TIME_OUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_LAG = """
SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS behind_s,
       pg_last_wal_receive_lsn()::text AS received,
       coalesce(pg_last_wal_replay_lsn() >= coalesce(%(received)s::pg_lsn, pg_last_wal_receive_lsn()), false) AS replayed,
       EXISTS (SELECT 1 FROM pg_stat_wal_receiver) AS receiving
"""
_REPLAY_S, _REPLAY_POLLS = 0.1, 5
"""A standby gets some time to replay what it has just received."""


class Session:
    """What each transaction of one role begins with.

    `settings`: further settings, of the profile's URL. `lag_max_s`: how far a standby may be behind to be read.
    """

    def __init__(self, label: str, role: str, *, statement_s: float, lock_s: float, lag_max_s: float) -> None:
        self._label = label
        self._role = role
        self._lag_max_s = max(lag_max_s, 1.0)
        limits_s = (statement_s, lock_s, statement_s)
        self._time_outs = {
            name: f"{max(1, int(limit_s * 1000))}ms" for name, limit_s in zip(_TIME_OUTS, limits_s, strict=True)
        }

    async def begin(self, connection: Connection, settings: Mapping[str, str]) -> None:
        """Begin a transaction on a connection. Raises StoreError where a setting does not apply or a standby is too far behind."""
        cursor = await connection.execute(self._beginning(settings))
        while cursor.nextset():
            pass
        facts = cast("dict[str, Any]", await cursor.fetchone())
        wanted = {**_SETTINGS, "transaction_read_only": "on"}
        for name, value in wanted.items():
            if str(facts[name.lower()]).lower() != value.lower():
                raise StoreError(
                    f"{self._label}: the setting {name} is {facts[name.lower()]!r} in the transaction that set it to {value!r}. "
                    f"A proxy between changes it: let roles.{self._role}.url lead to the server, or to a pooler in session or "
                    "transaction mode."
                )
        if facts["time_limit"] == "0":
            raise StoreError(
                f"{self._label}: the time limit of statements does not apply in the transaction that set it. A proxy between "
                f"changes it: let roles.{self._role}.url lead to the server."
            )
        if facts["standby"]:
            await self._require_recent(connection)

    def _beginning(self, settings: Mapping[str, str]) -> sql.Composed:
        """Several statements in one message: the transaction, its settings, and a query for what applies."""
        locals_ = {**settings, **_SETTINGS, **self._time_outs}
        lines = [sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")]
        # RESET to the role's and database's own search path: another client of a pooler may have left its own.
        lines += [] if "search_path" in locals_ else [sql.SQL("SET LOCAL search_path TO DEFAULT")]
        composed = [
            sql.SQL("SET LOCAL {} TO {}").format(
                sql.Identifier(*name.split(".")), _search_path(value) if name == "search_path" else sql.Literal(value)
            )
            for name, value in locals_.items()
        ]
        names = [*_SETTINGS, "transaction_read_only"]
        shown = sql.SQL(", ").join(
            sql.SQL("current_setting({}) AS {}").format(sql.Literal(name), sql.Identifier(name.lower()))
            for name in names
        )
        query = sql.SQL(
            "SELECT {}, current_setting('statement_timeout') AS time_limit, pg_is_in_recovery() AS standby"
        ).format(shown)
        return sql.SQL("; ").join([*lines, *composed, query])

    async def _require_recent(self, connection: Connection) -> None:
        """A standby that has replayed all that it receives is up to date; its last transaction may be old on a quiet primary."""
        received: str | None = None
        facts: dict[str, Any] = {}
        for poll in range(_REPLAY_POLLS):
            await asyncio.sleep(_REPLAY_S if poll else 0)
            cursor = await connection.execute(require_read_only_sql(_LAG), {"received": received})
            facts = cast("dict[str, Any]", await cursor.fetchone())
            received = received or facts["received"]
            if facts["replayed"] and facts["receiving"]:
                return
        behind_s = facts["behind_s"]
        if behind_s is not None and behind_s <= self._lag_max_s:
            return
        how = "an unknown time" if behind_s is None else f"up to {behind_s:.0f} s"
        why = "" if facts["receiving"] else " and receives nothing from its primary"
        raise StoreError(
            f"{self._label} is a standby that is {how} behind its primary{why}; more than {self._lag_max_s:g} s "
            f"(timing.settle_s) cannot be judged. Let roles.{self._role}.url lead to the primary, or try again when the standby "
            "has caught up."
        )


def _search_path(value: str) -> sql.Composable:
    """Its parts as identifiers: as one literal it would be the name of one schema."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    return sql.SQL(", ").join(
        sql.Literal(part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()) for part in parts
    )
