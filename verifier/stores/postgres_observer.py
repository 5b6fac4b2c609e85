"""Has anything been written to this table? Counters, transaction horizons, and proof that they are the same ones.

Measured facts behind it: an idle session flushes its counts after 10 s; a crash zeroes all table counters while only
`pg_stat_bgwriter.stats_reset` tells; a rolled-back insert counts like a committed one; rewriting a table (ALTER TYPE, VACUUM FULL,
TRUNCATE) gives it a new file and may give every row a new xmin.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from typing import Any

from verifier.profile.relations import Relation
from verifier.stores.base import Missing, Reading, Witness
from verifier.stores.budget import Bite
from verifier.stores.convert import to_logical
from verifier.stores.postgres import PostgresStore
from verifier.stores.postgres_source import expression, from_clause

BLOCKS_PER_CHUNK = 4096
POLL_S = 1.0
SETTLED_AFTER_MAX = 3
IN_FLIGHT_XIDS = 100_000
HORIZON_AGE_MAX = 1_000_000_000

_READING = """
WITH target AS (SELECT to_regclass(%(table)s)::oid AS oid),
leaves AS (
  SELECT relid::oid AS oid FROM pg_partition_tree((SELECT oid FROM target)) WHERE isleaf
  UNION SELECT oid FROM target
)
SELECT clock_timestamp() AS at,
       pg_current_snapshot()::text AS horizon,
       pg_is_in_recovery() AS standby,
       current_setting('track_counts') AS track_counts,
       (SELECT oid FROM target)::text AS target_oid,
       (SELECT relkind::text FROM pg_class WHERE oid = (SELECT oid FROM target)) AS kind,
       (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM leaves) AS oids,
       (SELECT string_agg(coalesce(pg_relation_filenode(oid), 0)::text, ',' ORDER BY oid) FROM leaves) AS files,
       (SELECT sum(pg_stat_get_tuples_inserted(oid)) FROM leaves)::bigint AS inserts,
       (SELECT sum(pg_stat_get_tuples_updated(oid)) FROM leaves)::bigint AS updates,
       (SELECT sum(pg_stat_get_tuples_deleted(oid)) FROM leaves)::bigint AS deletes,
       (SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database()) AS stats_reset,
       (SELECT stats_reset::text FROM pg_stat_bgwriter) AS crash_reset
"""


class PostgresObserver:
    """Watches one table (with its partitions)."""

    complete = False
    unseen = ("a row that is written and removed again among others' legitimate writes",)

    def __init__(self, store: PostgresStore, relation: Relation, columns: tuple[str, ...], *, flush_s: float) -> None:
        self._store = store
        self._relation = relation
        self._columns = tuple(dict.fromkeys((*relation.key, *columns)))
        self._flush_s = flush_s
        self.label = f"{store.role}: {relation.table or 'select'}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The counter query and the witness query."""
        return (" ".join(_READING.split()), self._witness_sql())

    async def read(self, *, settled: bool = False) -> Reading:
        """Counters, horizon and continuity tokens; `settled` waits until the counters stood still for a flush interval.

        A table that others keep writing to never stands still: after some intervals its latest reading has to do.
        """
        reading = await self._read()
        if not settled or not reading.counters:
            return reading
        still_since = time.monotonic()
        deadline = still_since + SETTLED_AFTER_MAX * self._flush_s
        while time.monotonic() - still_since < self._flush_s and time.monotonic() < deadline:
            await asyncio.sleep(min(POLL_S, self._flush_s))
            again = await self._read()
            if again.counters != reading.counters:
                still_since = time.monotonic()
            reading = again
        return reading

    async def _read(self) -> Reading:
        if self._relation.table is None:
            why = "writes that its own times do not tell (it is mapped by a select, which has no counters)"
            return Reading(await self._store.clock(), blind=(why,))
        table = ".".join(f'"{part}"' for part in (self._relation.table or "").split("."))
        row = (await self._store.fetch(_READING, {"table": table}, what="read counters"))[0]
        if row["target_oid"] is None:
            raise Missing(
                f"{self._store.label}: there is no table {self._relation.table}. Correct the relation in the profile."
            )
        blind = []
        counters: Mapping[str, int] = {}
        if row["kind"] not in ("r", "p"):
            blind.append("no counters: it is a view")
        elif row["standby"]:
            blind.append("no counters: this server is a standby, whose table counters do not count")
        elif row["track_counts"] != "on":
            blind.append("no counters: track_counts is off")
        else:
            counters = {"insert": row["inserts"], "update": row["updates"], "delete": row["deletes"]}
        continuity = {
            "table": row["oids"],
            "statistics reset": row["stats_reset"] or "never",
            "crash recovery": row["crash_reset"] or "never",
            "standby": str(row["standby"]),
            "storage": row["files"],
        }
        return Reading(row["at"].astimezone(UTC), continuity, counters, row["horizon"], tuple(blind))

    def _witness_sql(self) -> str:
        logical = ", ".join(f'{expression(self._relation.columns[name])} AS "{name}"' for name in self._columns)
        return (
            f"SELECT {logical}, xmin::text AS _xmin FROM {from_clause(self._relation)} "  # noqa: S608 - names come from the profile
            "WHERE ctid >= %(first)s::tid AND ctid < %(last)s::tid AND age(xmin) <= %(age)s"
        )

    async def witnesses(self, before: Reading | None, now: Reading) -> AsyncIterator[Witness]:
        """Rows whose transaction was not yet visible at `before`: written since, whatever their columns say."""
        if before is None or not before.horizon or not now.counters:
            return
        if before.continuity.get("storage") != now.continuity.get("storage"):
            return  # a rewritten table makes every row look new; the caller is told by the continuity tokens
        old, newest = Snapshot.parse(before.horizon), Snapshot.parse(now.horizon)
        span = newest.xmax - old.xmin
        if span > HORIZON_AGE_MAX or span < 0:
            return
        blocks = await self._blocks()
        bite, first = Bite(self._store.limits, at_most=BLOCKS_PER_CHUNK), 0
        while first < blocks:
            rows, first = await bite.take(functools.partial(self._written, first, span + IN_FLIGHT_XIDS))
            for row in rows:
                xid = newest.full_xid(int(row["_xmin"]))
                if not old.saw(xid):
                    yield self._witness(row, xid)

    async def _written(self, first: int, age: int, blocks: int) -> tuple[list[dict[str, Any]], int]:
        """The young rows of some blocks, and the first block behind them."""
        last = first + blocks
        parameters = {"first": f"({first},0)", "last": f"({last},0)", "age": age}
        return await self._store.fetch(self._witness_sql(), parameters, what="read new rows"), last

    async def _blocks(self) -> int:
        table = ".".join(f'"{part}"' for part in (self._relation.table or "").split("."))
        sql = (
            "SELECT max(pg_relation_size(oid) / current_setting('block_size')::int) AS blocks FROM ("
            "SELECT relid::oid AS oid FROM pg_partition_tree(to_regclass(%(table)s)) WHERE isleaf "
            "UNION SELECT to_regclass(%(table)s)::oid) AS leaves"
        )
        rows = await self._store.fetch(sql, {"table": table}, what="read size")
        return int(rows[0]["blocks"] or 0) + 1

    def _witness(self, row: dict[str, Any], xid: int) -> Witness:
        logical = {name: to_logical(self._relation.columns[name], row[name]) for name in self._columns}
        return Witness(
            operation="write",
            key=" / ".join(str(logical[name]) for name in self._relation.key),
            row=logical,
            how=f"its transaction {xid} began after the baseline",
            position=xid,
        )


class Snapshot:
    """A PostgreSQL transaction snapshot, `xmin:xmax:in,flight`, in 64-bit ids."""

    def __init__(self, xmin: int, xmax: int, in_flight: frozenset[int]) -> None:
        self.xmin, self.xmax, self.in_flight = xmin, xmax, in_flight

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read the server's text form."""
        xmin, xmax, listed = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(int(item) for item in listed.split(",") if item))

    def saw(self, xid: int) -> bool:
        """Whether a transaction's rows were visible in this snapshot (if it committed)."""
        return xid < self.xmax and xid not in self.in_flight

    def full_xid(self, xmin: int) -> int:
        """The 64-bit id of a row's 32-bit xmin: the one nearest to this snapshot."""
        if xmin < 3:  # permanent ids: bootstrap and frozen
            return xmin
        candidate = (self.xmax & ~0xFFFFFFFF) | xmin
        if candidate > self.xmax + 0x7FFFFFFF:
            return candidate - 0x1_0000_0000
        if candidate < self.xmax - 0x7FFFFFFF:
            return candidate + 0x1_0000_0000
        return candidate
