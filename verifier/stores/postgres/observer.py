"""Finds writes to a PostgreSQL table by its counters and by the transactions of its rows.

It relies on these measured facts:

* An idle session reports its counts after 10 s. A session in a transaction reports none until that ends.
* A rolled-back insert counts like a committed one. TRUNCATE moves no counter.
* A crash sets all table counters to zero; only `pg_stat_bgwriter.stats_reset` shows it.
* Rewriting a table (ALTER TYPE, VACUUM FULL, TRUNCATE) gives it a new file and may give every row a new xmin.
* xmin has 32 bits: after 4 billion transactions old rows look new.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

from verifier.profile.relations import Relation
from verifier.stores.budget import ChunkSizer
from verifier.stores.errors import ContinuityLost, Missing, StoreError
from verifier.stores.postgres.census import census_sql, mark_sql, with_census
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.snapshot import Snapshot
from verifier.stores.postgres.source import expression, from_clause
from verifier.stores.postgres.values import logical
from verifier.stores.protocols import CounterSnapshot, Observer, Witness

BLOCKS_PER_CHUNK = 4096
POLL_S = 1.0
SETTLED_AFTER_MAX = 3
IN_FLIGHT_XIDS = 100_000
POSITION_AGE_MAX = 1_000_000_000
WRAP = 0x1_0000_0000

_SNAPSHOT = """
WITH target AS (SELECT to_regclass(%(table)s)::oid AS oid),
leaves AS (
  SELECT relid::oid AS oid FROM pg_partition_tree((SELECT oid FROM target)) WHERE isleaf
  UNION SELECT oid FROM target
)
SELECT clock_timestamp() AS at,
       pg_current_snapshot()::text AS snapshot,
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
       (SELECT stats_reset::text FROM pg_stat_bgwriter) AS crash_reset,
       (SELECT array_agg(oid::regclass::text ORDER BY oid) FROM leaves) AS names,
       (SELECT array_agg(held.virtualtransaction) FROM pg_locks AS held JOIN pg_stat_activity AS session ON session.pid = held.pid
         WHERE held.locktype = 'virtualxid' AND session.datname = current_database() AND session.usename <> current_user)
       || (SELECT array_agg(gid) FROM pg_prepared_xacts WHERE database = current_database()) AS in_transaction
"""
# Tokens of stored snapshots: another text would break their continuity.
_SETTLED, _UNSETTLED = "taken at rest", "taken beside a transaction that did not end"
_STANDBY = "this server is a standby, whose table counters do not move; the role's URL must point to the primary"
_OFF = "track_counts is off, so that writes are not counted; switch it on"


class PostgresObserver(Observer):
    """Finds writes to one table, its partitions included."""

    unseen: tuple[str, ...] = ("a row that is written and removed again between legitimate writes of others",)

    def __init__(self, client: PostgresClient, relation: Relation, columns: tuple[str, ...], *, flush_s: float) -> None:
        self._client = client
        self._relation = relation
        self._columns = tuple(dict.fromkeys((*relation.key, *columns)))
        self._flush_s = flush_s
        self._in_transaction: frozenset[str] = frozenset()
        self.label = f"{client.role}: {relation.table or 'select'}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The counter query, the witness query and the census query."""
        return (" ".join(_SNAPSHOT.split()), self._witness_sql(), census_sql(self._relation))

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """Counters, position and continuity tokens. `settled` waits until the counters did not move for a flush interval.

        The counters of a table in use always move; after SETTLED_AFTER_MAX intervals the latest ones are taken.
        """
        snapshot = await self._read()
        if not settled or not snapshot.counters:
            return snapshot
        earlier = self._in_transaction  # their sessions have not reported their counts yet
        still_since = time.monotonic()
        deadline = still_since + SETTLED_AFTER_MAX * self._flush_s
        while (time.monotonic() - still_since < self._flush_s or earlier) and time.monotonic() < deadline:
            await asyncio.sleep(min(POLL_S, self._flush_s))
            again, left = await self._read(), earlier & self._in_transaction
            if again.counters != snapshot.counters or left != earlier:
                still_since = time.monotonic()
            snapshot, earlier = again, left
        return replace(snapshot, continuity={**snapshot.continuity, "baseline": _UNSETTLED if earlier else _SETTLED})

    async def census(self, now: CounterSnapshot, before: CounterSnapshot | None) -> CounterSnapshot:
        """`now` with a census of the table; see `Census`."""
        return await with_census(self._client, self._relation, now, before)

    async def _read(self) -> CounterSnapshot:
        if self._relation.table is None:
            why = "it is mapped by a select, which has no counters and no transaction marks"
            return CounterSnapshot(
                await self._client.clock(),
                limitations=(f"writes that its own time columns do not show ({why})",),
                inconclusive_because=why,
            )
        table = ".".join(f'"{part}"' for part in (self._relation.table or "").split("."))
        row = (await self._client.fetch(_SNAPSHOT, {"table": table}, what="read counters"))[0]
        if row["target_oid"] is None:
            raise Missing(
                f"{self._client.label}: table {self._relation.table} does not exist. Correct the relation in the profile."
            )
        self._in_transaction = frozenset(row["in_transaction"] or ())
        table_like, reason = row["kind"] in ("r", "p"), ""
        counters: Mapping[str, int] = {}
        if not table_like:
            reason = "it is a view or a foreign table, which has no counters and no transaction marks"
        elif row["standby"]:
            reason = _STANDBY
        elif row["track_counts"] != "on":
            reason = _OFF
        else:
            counters = {"insert": row["inserts"], "update": row["updates"], "delete": row["deletes"]}
        limitations = [f"no counters: {reason}"] if reason else []
        filled: frozenset[str] = frozenset()
        if table_like:
            try:
                filled = await self._filled(row["oids"].split(","), row["names"])
            except StoreError as error:
                limitations.append(f"a TRUNCATE ({error})")
        continuity = {
            "table": row["oids"],
            "statistics reset": row["stats_reset"] or "never",
            "crash recovery": row["crash_reset"] or "never",
            "standby": str(row["standby"]),
            "storage": row["files"],
            "baseline": _SETTLED,
        }
        return CounterSnapshot(
            at=row["at"].astimezone(UTC),
            continuity=continuity,
            counters=counters,
            position=row["snapshot"] if table_like else "",
            limitations=tuple(limitations),
            filled=filled,
            inconclusive_because=reason,
        )

    async def _filled(self, oids: Sequence[str], names: Sequence[str]) -> frozenset[str]:
        """The parts of the table that hold a row, by OID. The server returned the names quoted."""
        probes = [
            f"SELECT '{oid}' AS oid WHERE EXISTS (SELECT 1 FROM ONLY {name})"  # noqa: S608 - the server's own names
            for oid, name in zip(oids, names, strict=True)
        ]
        rows = await self._client.fetch(" UNION ALL ".join(probes), what="read whether empty")
        return frozenset(row["oid"] for row in rows)

    def _witness_sql(self) -> str:
        logical = ", ".join(f'{expression(self._relation.columns[name])} AS "{name}"' for name in self._columns)
        return (
            f"SELECT {logical}, xmin::text AS _xmin, {mark_sql(self._relation)} AS _mark FROM {from_clause(self._relation)} "  # noqa: S608 - names come from the profile
            "WHERE ctid >= %(first)s::tid AND ctid < %(last)s::tid AND age(xmin) <= %(age)s"
        )

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Rows whose transaction was not visible yet at `before`, whatever their columns say."""
        if before is None or not before.position or not now.position:
            return
        if before.continuity.get("storage") != now.continuity.get("storage"):
            # Every row of a rewritten table looks new. The continuity tokens show the rewrite.
            for emptied in _truncated(before, now):
                yield emptied
            return
        old, newest = Snapshot.parse(before.position), Snapshot.parse(now.position)
        span = newest.xmax - old.xmin
        if span > POSITION_AGE_MAX or span < 0:
            raise ContinuityLost(
                f"the transaction ids since the last run ({span}) are too many or run backwards: rows do not show any more "
                "which of them are new"
            )
        if newest.xmax < WRAP:
            async for witness in self._newer(old, newest, span):
                yield witness
            return
        counted = sum(now.counters.get(name, 0) - before.counters.get(name, 0) for name in ("insert", "update"))
        found = []
        async for witness in self._newer(old, newest, span):
            found.append(witness)
            if len(found) > counted:
                raise ContinuityLost(
                    f"more rows look new than were counted ({counted}): transaction ids have wrapped around and old frozen rows "
                    "look new, or counts are late"
                )
        for witness in found:
            yield witness

    def written_after(self, witness: Witness, position: str) -> bool:
        """Whether the write's transaction was not visible yet at `position`."""
        return witness.position is not None and not Snapshot.parse(position).saw(witness.position)

    async def _newer(self, old: Snapshot, newest: Snapshot, span: int) -> AsyncIterator[Witness]:
        blocks = await self._blocks()
        sizer, first = ChunkSizer(self._client.limits, at_most=BLOCKS_PER_CHUNK), 0
        while first < blocks:
            rows, first = await sizer.take(functools.partial(self._written, first, span + IN_FLIGHT_XIDS))
            for row in rows:
                xid = newest.full_xid(int(row["_xmin"]))
                if not old.saw(xid):
                    yield self._witness(row, xid, "was open at" if xid in old.in_flight else "began after")

    async def _written(self, first: int, age: int, blocks: int) -> tuple[list[dict[str, Any]], int]:
        """The young rows of some blocks, and the number of the next block."""
        last = first + blocks
        parameters = {"first": f"({first},0)", "last": f"({last},0)", "age": age}
        return await self._client.fetch(self._witness_sql(), parameters, what="read new rows"), last

    async def _blocks(self) -> int:
        table = ".".join(f'"{part}"' for part in (self._relation.table or "").split("."))
        sql = (
            "SELECT max(pg_relation_size(oid) / current_setting('block_size')::int) AS blocks FROM ("
            "SELECT relid::oid AS oid FROM pg_partition_tree(to_regclass(%(table)s)) WHERE isleaf "
            "UNION SELECT to_regclass(%(table)s)::oid) AS leaves"
        )
        rows = await self._client.fetch(sql, {"table": table}, what="read size")
        return int(rows[0]["blocks"] or 0) + 1

    def _witness(self, row: dict[str, Any], xid: int, when: str) -> Witness:
        zone = self._client.config.timestamp_zone
        found = {name: logical(self._relation.columns[name], row[name], zone) for name in self._columns}
        return Witness(
            operation="write",
            key=" / ".join(str(found[name]) for name in self._relation.key),
            row=found,
            how=f"its transaction {xid} {when} the baseline",
            position=xid,
            mark=row["_mark"],
        )


def _truncated(before: CounterSnapshot, now: CounterSnapshot) -> list[Witness]:
    """A witness for each part of the table that has a new file and no rows any more without a counted delete: VACUUM FULL
    keeps rows."""
    if before.counters.get("delete", 0) != now.counters.get("delete", 0):
        return []
    files = [
        dict(zip(snapshot.continuity["table"].split(","), snapshot.continuity["storage"].split(","), strict=True))
        for snapshot in (before, now)
    ]
    emptied = [oid for oid in before.filled - now.filled if oid in files[1] and files[0].get(oid) != files[1][oid]]
    how = "it held rows, has a new file without them, and no delete was counted"
    return [Witness(operation="truncate", key=f"TRUNCATE of {oid}", row={}, how=how) for oid in sorted(emptied)]
