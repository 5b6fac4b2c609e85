"""Records of a relation in PostgreSQL: read in key order by chunks, or looked up by values."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.stores.budget import ChunkSizer, TooSlow
from verifier.stores.errors import StoreError
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.failures import Misfit
from verifier.stores.postgres.statements import TIES_SINCE, Statements, Types, expression, from_clause
from verifier.stores.postgres.values import NO_EQUALITY, PLAIN, RECORD, TIMESTAMP, array_literal, forms, logical
from verifier.stores.postgres.visibility import required_columns, visibility
from verifier.stores.protocols import Completeness

__all__ = ["PostgresSource", "expression", "from_clause"]
NO_KEY_MAX = 10_000
"""Rows without a key that are read. They have no order, so they are read at once."""
_NO_KEYS = "rows without a key"
"""The position after the last row."""


class PostgresSource:
    """One relation of one database, read by keyset paging: each chunk is a short statement, and memory holds one chunk."""

    def __init__(self, client: PostgresClient, relation: Relation, rows: Rows) -> None:
        self._client = client
        self._relation = relation
        self._rows = rows
        self.key = relation.key
        self._sql = Statements(relation, rows, client.config.timestamp_zone)
        self._columns = self._sql.columns
        self.label = f"{rows.relation} ({client.role}: {relation.table or 'select'})"
        self._known: dict[str, int] = {}
        self._arrays: set[str] = set()
        self._unread = False
        self.position: str | None = None

    @property
    def queries(self) -> tuple[str, ...]:
        """The chunk query, with the names of its parameters."""
        return (self._sql.chunk({}, after=True),)

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """All records in key order, or those after a position; those with NULL in a key column come last."""
        if after == _NO_KEYS:
            return
        sizer = ChunkSizer(self._client.limits, at_most=self._client.config.chunk_rows)
        types, nullable = await self._types(), await self._nullable()
        behind: dict[str, Any] = {} if after is None else _marks(json.loads(after))
        while True:
            found, size = await sizer.take(functools.partial(self._chunk, types, nullable, behind))
            if found:
                last = [found[-1][f"_k{index}"] for index in range(len(self.key))]
                behind, self.position = _marks(last), json.dumps(last)
                yield [self._logical(row) for row in found]
            if len(found) < size:
                break
        if nullable:
            async for chunk in self._without_key(types, nullable):
                yield chunk

    async def _chunk(
        self, types: Types, nullable: Sequence[str], behind: Mapping[str, Any], size: int
    ) -> tuple[list[dict[str, Any]], int]:
        ties = self._client.server_version >= TIES_SINCE
        sql = self._sql.chunk(types, after=bool(behind), nullable=nullable, ties=ties)
        parameters = {**self._sql.parameters(types), **behind, "chunk_rows": size}
        return await self._client.fetch(sql, parameters, what=f"read {self._rows.relation}"), size

    async def _without_key(self, types: Types, nullable: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        parameters = {**self._sql.parameters(types), "limit": NO_KEY_MAX + 1}
        found = await self._client.fetch(
            self._sql.without_key(types, nullable), parameters, what=f"read {self._rows.relation}"
        )
        self._unread, found = len(found) > NO_KEY_MAX, found[:NO_KEY_MAX]
        size = self._client.config.chunk_rows
        for start in range(0, len(found), size):
            part = found[start : start + size]
            if start + size >= len(found):
                self.position = _NO_KEYS
            yield [self._logical(row) for row in part]

    async def completeness(self) -> Completeness:
        """The number of records under the same conditions, and what hides records from this role."""
        types = await self._types()
        hidden, unseen = await visibility(self._client, self._relation)
        if self._unread:
            hidden = (*hidden, f"{self.label} has more than {NO_KEY_MAX} rows without a key; the others were not read")
        counted: int | None = None
        try:
            rows = await self._client.fetch(
                self._sql.count(types),
                self._sql.parameters(types),
                what=f"count {self._rows.relation}",
                optional=True,
            )
            counted = int(rows[0]["counted"])
        except TooSlow:
            unseen = (*unseen, f"whether every row of {self.label} was read, because counting them takes too long")
        return Completeness(counted, hidden, unseen)

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records whose `column` has one of `values`; None is NULL. Values that do not fit the column's type match
        nothing."""
        types = await self._types((column,))
        mapped, zone = self._relation.columns[column], self._client.config.timestamp_zone
        present = [value for value in values if value is not None]
        wanted = list(dict.fromkeys(text for value in present for text in forms(types[column], mapped, value, zone)))
        found = await self._equal(types, column, wanted) if wanted else []
        if len(present) < len(values):
            parameters = {**self._sql.parameters(types), "limit": NO_KEY_MAX}
            found += await self._fetch_found(self._sql.null(types, column), parameters)
        return [self._logical(row) for row in found]

    async def _equal(self, types: Types, column: str, wanted: list[str]) -> list[dict[str, Any]]:
        parameters = self._sql.parameters(types)
        if column in self._arrays:
            found = []
            for text in wanted:  # an array of arrays has no untyped literal
                sql = self._sql.equal(types, column, listed=1)
                try:
                    found += await self._fetch_found(sql, {**parameters, "value_0": text})
                except Misfit:
                    continue
            return found
        sql = self._sql.equal(types, column)
        try:
            return await self._fetch_found(sql, {**parameters, "values": array_literal(wanted)})
        except Misfit:
            fitting = await self._fitting(types, column, wanted)
            if len(fitting) == len(wanted):
                raise
        return await self._fetch_found(sql, {**parameters, "values": array_literal(fitting)}) if fitting else []

    async def _fetch_found(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return await self._client.fetch(sql, parameters, what=f"look up {self._rows.relation}")

    async def _fitting(self, types: Types, column: str, texts: list[str]) -> list[str]:
        """The texts that the column's type accepts, by halving. No row is read, so that only a text can fail."""
        try:
            await self._client.fetch(
                self._sql.fits(types, column), {"values": array_literal(texts)}, what=f"look up {self._rows.relation}"
            )
        except Misfit:
            middle = len(texts) // 2
            if not middle:
                return []
            halves = (texts[:middle], texts[middle:])
            return [text for half in halves for text in await self._fitting(types, column, half)]
        return texts

    async def _types(self, further: Iterable[str] = ()) -> Types:
        """The types of all columns that are read or compared. Raises StoreError where a time among them has an unknown zone."""
        wheres = (where.column for where in self._rows.where)
        wanted = [name for name in dict.fromkeys((*self._columns, *wheres, *further)) if name not in self._known]
        if wanted:
            oids = await self._client.types_of(self._sql.types(wanted))
            for name, oid in zip(wanted, oids, strict=True):
                category = "" if oid in PLAIN or oid in NO_EQUALITY else await self._client.category(oid)
                self._known[name] = RECORD if category == "C" else oid
                if category == "A":
                    self._arrays.add(name)
        # Each time: a caller that only estimates may have caught the first refusal.
        await self._require_zone()
        return self._known

    async def _require_zone(self) -> None:
        """A time that is only shown, because it is merely tested for NULL, need not have a known zone."""
        shown = {where.column for where in self._rows.where if where.op in ("is null", "not null")}
        compared = {where.column for where in self._rows.where if isinstance(where.value, datetime)}
        naive = [
            name
            for name in dict.fromkeys((*compared, *(name for name in self._rows.columns if name not in shown)))
            if self._known.get(name) == TIMESTAMP
            and self._relation.columns[name].type == "timestamp"
            and not (self._relation.columns[name].zone or self._client.config.timestamp_zone)
        ]
        if naive and (zones := await self._client.zones()):
            raise StoreError(
                f"{self.label}: column {naive[0]} has no time zone, and the settings of this server name {', '.join(zones)} besides UTC, so "
                f"that its times cannot be compared. Say which zone they are in: roles.{self._client.role}.timestamp_zone = "
                f'"{zones[0]}" or "UTC".'
            )

    async def _nullable(self) -> tuple[str, ...]:
        """The key columns that may be NULL."""
        required = await required_columns(self._client, self._relation)
        return tuple(name for name in self.key if self._relation.columns[name].column not in required)

    def _logical(self, row: dict[str, Any]) -> Row:
        zone = self._client.config.timestamp_zone
        return {name: logical(self._relation.columns[name], row[name], zone) for name in self._columns}


def _marks(values: Sequence[Any]) -> dict[str, Any]:
    return {f"after_{index}": value for index, value in enumerate(values)}
