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
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

from verifier.profile.relations import Relation
from verifier.stores.budget import ChunkSizer
from verifier.stores.errors import ContinuityLost, Missing, StoreError
from verifier.stores.postgres.census import belongs_sql, census_sql, escaped, mark_sql, state_sql, with_census
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.parts import SELECT_REASON, Part, comparable, counted, truncated, why_uncounted
from verifier.stores.postgres.snapshot import Snapshot
from verifier.stores.postgres.source import expression, from_clause
from verifier.stores.postgres.values import logical
from verifier.stores.protocols import CounterSnapshot, Observer, ScopeOf, Witness

BLOCKS_PER_CHUNK = 4096
POLL_S = 1.0
SETTLED_AFTER_MAX = 3
IN_FLIGHT_XIDS = 100_000
POSITION_AGE_MAX = 1_000_000_000
WRAP = 0x1_0000_0000

_PARTS = """
WITH RECURSIVE roots AS (SELECT to_regclass(name)::oid AS oid, name FROM unnest(%(tables)s::text[]) AS name),
parts AS (
  SELECT oid, oid AS root FROM roots WHERE oid IS NOT NULL
  UNION SELECT child.inhrelid, parts.root FROM pg_inherits AS child JOIN parts ON child.inhparent = parts.oid
)"""
"""The tables, their partitions and their INHERITS children at any depth (a hypertable's chunks are such children)."""
_SNAPSHOT = (
    _PARTS  # noqa: S608 - a constant
    + """
SELECT clock_timestamp() AS at,
       pg_current_snapshot()::text AS snapshot,
       pg_is_in_recovery() AS standby,
       current_setting('track_counts') AS track_counts,
       (SELECT string_agg(coalesce(oid::text, '-'), ',' ORDER BY name) FROM roots) AS roots,
       (SELECT min(name) FROM roots WHERE oid IS NULL) AS missing,
       (SELECT array_agg(part.oid::text || ' ' || coalesce(pg_relation_filenode(part.oid), 0) || ' '
                         || coalesce(pg_stat_get_tuples_inserted(part.oid), 0) || ' '
                         || coalesce(pg_stat_get_tuples_updated(part.oid), 0) || ' '
                         || coalesce(pg_stat_get_tuples_deleted(part.oid), 0) || ' ' || about.relkind::text
                         ORDER BY part.oid)
          FROM (SELECT DISTINCT oid FROM parts) AS part JOIN pg_class AS about ON about.oid = part.oid) AS parts,
       (SELECT array_agg(part.oid::regclass::text ORDER BY part.oid)
          FROM (SELECT DISTINCT oid FROM parts) AS part) AS names,
       (SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text ~* 'track_counts=(off|false|no|0)') AS uncounted,
       (SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database()) AS stats_reset,
       (SELECT stats_reset::text FROM pg_stat_bgwriter) AS crash_reset,
       (SELECT array_agg(held.virtualtransaction) FROM pg_locks AS held JOIN pg_stat_activity AS session ON session.pid = held.pid
         WHERE held.locktype = 'virtualxid' AND session.datname = current_database() AND session.usename <> current_user)
       || (SELECT array_agg(gid) FROM pg_prepared_xacts WHERE database = current_database()) AS in_transaction
"""
)
# Tokens of stored snapshots: another text would break their continuity.
_SETTLED, _UNSETTLED = "taken at rest", "taken beside a transaction that did not end"


class PostgresObserver(Observer):
    """Finds writes to one table, its partitions and INHERITS children included."""

    unseen: tuple[str, ...] = ("a row that is written and removed again between legitimate writes of others",)

    def __init__(self, client: PostgresClient, relation: Relation, columns: tuple[str, ...], *, flush_s: float) -> None:
        self._client = client
        self._relation = relation
        self._columns = tuple(dict.fromkeys((*relation.key, *columns)))
        self._flush_s = flush_s
        self.watched = relation.watched
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

    async def census(
        self,
        now: CounterSnapshot,
        before: CounterSnapshot | None,
        scoped_by: str | None = None,
        scope: ScopeOf | None = None,
    ) -> CounterSnapshot:
        """`now` with a census of the table; see `Census`."""
        return await with_census(
            self._client, self._relation, now, before, scoped_by=scoped_by, watched=self.watched, scope=scope
        )

    def comparable(self, before: CounterSnapshot, now: CounterSnapshot) -> CounterSnapshot:
        """`before` over the parts that `now` has; see `Census`."""
        return comparable(before, now)

    async def _read(self) -> CounterSnapshot:
        relation = self._relation
        tables = relation.watches or ((relation.table,) if relation.table else ())
        if not tables:
            return CounterSnapshot(
                await self._client.clock(),
                limitations=(f"writes that its own time columns do not show ({SELECT_REASON})",),
                inconclusive_because=SELECT_REASON,
            )
        row = (
            await self._client.fetch(_SNAPSHOT, {"tables": [_quoted(name) for name in tables]}, what="read counters")
        )[0]
        if row["missing"] is not None:
            raise Missing(
                f"{self._client.label}: table {row['missing'].replace(chr(34), '')} does not exist. Correct the relation in the profile."
            )
        self._in_transaction = frozenset(row["in_transaction"] or ())
        parts = [Part.parse(text) for text in row["parts"]]
        reason = why_uncounted(parts, row)
        limitations = [f"no counters: {reason}"] if reason else []
        by_rows = not relation.watches and all(part.kind in ("r", "p") for part in parts)
        filled: frozenset[str] = frozenset()
        if all(part.kind in ("r", "p") for part in parts):
            try:
                filled = await self._filled([part.oid for part in parts], row["names"])
            except StoreError as error:
                limitations.append(f"a TRUNCATE ({error})")
        continuity = {
            "table": row["roots"],
            "statistics reset": row["stats_reset"] or "never",
            "crash recovery": row["crash_reset"] or "never",
            "standby": str(row["standby"]),
            "storage": ",".join(part.file for part in parts),
            "baseline": _SETTLED,
        }
        return CounterSnapshot(
            at=row["at"].astimezone(UTC),
            continuity=continuity,
            counters={} if reason else counted(parts),
            position=row["snapshot"] if by_rows else "",
            limitations=tuple(limitations),
            filled=filled,
            inconclusive_because=reason,
            parts={part.oid: part.text for part in parts},
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
        relation = self._relation
        logical = ", ".join(f'{escaped(expression(relation.columns[name]))} AS "{name}"' for name in self._columns)
        return (
            f"SELECT {logical}, xmin::text AS _xmin, tableoid::bigint::text AS _part, {mark_sql(relation)} AS _mark, "  # noqa: S608 - names come from the profile
            f"{belongs_sql(relation)} AS _belongs, {state_sql(relation, self.watched)} AS _state "
            f"FROM {escaped(from_clause(relation))} WHERE ctid >= %(first)s::tid AND ctid < %(last)s::tid "
            "AND (age(xmin) <= %(age)s OR tableoid::bigint::text = ANY(%(added)s::text[]))"
        )

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Rows whose transaction was not visible yet at `before`, whatever their columns say."""
        if before is None or not before.position or not now.position:
            return
        if before.continuity.get("storage") != now.continuity.get("storage"):
            # Every row of a rewritten table looks new. The continuity tokens show the rewrite.
            for emptied in truncated(before, now):
                yield emptied
            return
        old, newest = Snapshot.parse(before.position), Snapshot.parse(now.position)
        span = newest.xmax - old.xmin
        if span > POSITION_AGE_MAX or span < 0:
            raise ContinuityLost(
                f"the transaction ids since the last run ({span}) are too many or run backwards: rows do not show any more "
                "which of them are new"
            )
        added = sorted(now.parts.keys() - before.parts.keys()) if before.parts else []
        if newest.xmax < WRAP:
            async for witness in self._newer(old, newest, span, added):
                yield witness
            return
        counted = sum(now.counters.get(name, 0) - before.counters.get(name, 0) for name in ("insert", "update"))
        found = []
        async for witness in self._newer(old, newest, span, added):
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

    async def _newer(self, old: Snapshot, newest: Snapshot, span: int, added: Sequence[str]) -> AsyncIterator[Witness]:
        """Rows with a young version. In parts that were `added` (a new or attached partition) every row counts as new."""
        blocks = await self._blocks()
        sizer, first = ChunkSizer(self._client.limits, at_most=BLOCKS_PER_CHUNK), 0
        while first < blocks:
            work = functools.partial(self._written, first, span + IN_FLIGHT_XIDS, added)
            rows, first = await sizer.take(work)
            for row in rows:
                xid = newest.full_xid(int(row["_xmin"]))
                if not old.saw(xid):
                    when = "was open at" if xid in old.in_flight else "began after"
                    yield self._witness(row, xid, f"its transaction {xid} {when} the baseline")
                elif row["_part"] in added:
                    yield self._witness(row, None, "it is in a part of the table that was attached after the baseline")

    async def _written(
        self, first: int, age: int, added: Sequence[str], blocks: int
    ) -> tuple[list[dict[str, Any]], int]:
        """The young rows of some blocks, and the number of the next block."""
        last = first + blocks
        parameters = {"first": f"({first},0)", "last": f"({last},0)", "age": age, "added": list(added)}
        return await self._client.fetch(self._witness_sql(), parameters, what="read new rows"), last

    async def _blocks(self) -> int:
        sql = (
            f"{_PARTS} SELECT max(pg_relation_size(oid) / current_setting('block_size')::int) AS blocks "  # noqa: S608 - a constant
            "FROM parts WHERE oid IN (SELECT oid FROM pg_class WHERE relkind = 'r')"
        )
        rows = await self._client.fetch(sql, {"tables": [_quoted(self._relation.table or "")]}, what="read size")
        return int(rows[0]["blocks"] or 0) + 1

    def _witness(self, row: dict[str, Any], xid: int | None, how: str) -> Witness:
        zone = self._client.config.timestamp_zone
        found = {name: logical(self._relation.columns[name], row[name], zone) for name in self._columns}
        return Witness(
            operation="write",
            key=" / ".join(str(found[name]) for name in self._relation.key),
            row=found,
            how=how,
            position=xid,
            mark=row["_mark"],
            belongs=row["_belongs"],
            state=row["_state"] if self.watched else None,
        )


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in table.split("."))
