"""Records of a relation in PostgreSQL: read in key order by chunks, or looked up by values."""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows, Where
from verifier.profile.relations import Column, Relation
from verifier.stores.budget import ChunkSizer
from verifier.stores.convert import sql_condition, to_logical, to_stored
from verifier.stores.postgres.client import PostgresClient

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
_UUID_OID, _INTEGER_OIDS = 2950, frozenset({20, 21, 23})


def expression(column: Column) -> str:
    """A column as SQL: a plain name is quoted, everything else is an expression of the profile."""
    return f'"{column.column}"' if _PLAIN.match(column.column) else f"({column.column})"


def from_clause(relation: Relation) -> str:
    """What follows FROM."""
    if relation.select:
        return f"({relation.select.strip().rstrip(';')}) AS r"
    return ".".join(f'"{part}"' for part in (relation.table or "").split("."))


class PostgresSource:
    """One relation of one database, read by keyset paging: each chunk is a short statement, and memory holds one chunk."""

    def __init__(self, client: PostgresClient, relation: Relation, rows: Rows) -> None:
        self._client = client
        self._relation = relation
        self._rows = rows
        self.key = relation.key
        self._columns = tuple(dict.fromkeys((*relation.key, *rows.columns)))
        self.label = f"{rows.relation} ({client.role}: {relation.table or 'select'})"
        self._types: dict[str, int] = {}
        self.position: str | None = None

    @property
    def queries(self) -> tuple[str, ...]:
        """The chunk query, with the names of its parameters."""
        return (self._chunk_sql(after=True),)

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """All records in key order, or those after a position."""
        sizer = ChunkSizer(self._client.limits, at_most=self._client.config.chunk_rows)
        behind: dict[str, Any] = {} if after is None else _marks(json.loads(after))
        while True:
            found, size = await sizer.take(functools.partial(self._chunk, behind))
            if found:
                last = [found[-1][f"_k{index}"] for index in range(len(self.key))]
                behind, self.position = _marks(last), _position(last)
                yield [self._logical(row) for row in found]
            if len(found) < size:
                return

    async def _chunk(self, behind: Mapping[str, Any], size: int) -> tuple[list[dict[str, Any]], int]:
        sql = self._chunk_sql(after=bool(behind))
        parameters = {**self._parameters(), **behind, "chunk_rows": size}
        return await self._client.fetch(sql, parameters, what=f"read {self._rows.relation}"), size

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records whose `column` has one of `values`. Values that do not fit the column's type match nothing."""
        mapped = self._relation.columns[column]
        cast = await self._cast(column)
        wanted = [text for value in values if (text := _fit(cast, to_stored(mapped, value))) is not None]
        if not wanted:
            return []
        target = expression(mapped) if cast != "text" else f"{expression(mapped)}::text"
        sql = f"{self._select()} WHERE {target} = ANY(%(values)s::{cast}[])"
        sql = self._with_conditions(sql)
        found = await self._client.fetch(
            sql, {**self._parameters(), "values": wanted}, what=f"look up {self._rows.relation}"
        )
        return [self._logical(row) for row in found]

    def _select(self) -> str:
        logical = ", ".join(f'{expression(self._relation.columns[name])} AS "{name}"' for name in self._columns)
        keys = ", ".join(
            f"{expression(self._relation.columns[name])} AS _k{index}" for index, name in enumerate(self.key)
        )
        statement = f"SELECT {logical}, {keys} FROM {from_clause(self._relation)}"  # noqa: S608 - as above
        return statement.replace("%", "%%")  # the text is the profile's, and parameters follow it

    def _with_conditions(self, sql: str) -> str:
        conditions = self._conditions()
        return f"{sql} AND {conditions}" if conditions else sql

    def _conditions(self) -> str:
        parts = [f"({self._relation.where.replace('%', '%%')})"] if isinstance(self._relation.where, str) else []
        parts += [self._condition(index, where) for index, where in enumerate(self._rows.where)]
        return " AND ".join(parts)

    def _condition(self, index: int, where: Where) -> str:
        target = expression(self._relation.columns[where.column])
        match where.op:
            case "is null":
                return f"{target} IS NULL"
            case "not null":
                return f"{target} IS NOT NULL"
            case "in":
                return f"{target} = ANY(%(where_{index})s)"
            case operator:
                return sql_condition(self._relation.columns[where.column], target, operator, f"%(where_{index})s")

    def _parameters(self) -> dict[str, Any]:
        return {
            f"where_{index}": to_stored(self._relation.columns[where.column], where.value)
            for index, where in enumerate(self._rows.where)
            if where.op not in ("is null", "not null")
        }

    def _chunk_sql(self, *, after: bool) -> str:
        keys = ", ".join(expression(self._relation.columns[name]) for name in self.key)
        conditions = [self._conditions()] if self._conditions() else []
        if after:
            marks = ", ".join(f"%(after_{index})s" for index in range(len(self.key)))
            conditions.append(f"({keys}) > ({marks})")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"{self._select()}{where} ORDER BY {keys} LIMIT %(chunk_rows)s"

    async def _cast(self, column: str) -> str:
        if column not in self._types:
            target = expression(self._relation.columns[column])
            sql = f"SELECT {target} AS value FROM {from_clause(self._relation)} LIMIT 0"  # noqa: S608 - as above
            self._types[column] = await self._client.type_of(sql)
        oid = self._types[column]
        return "uuid" if oid == _UUID_OID else "bigint" if oid in _INTEGER_OIDS else "text"

    def _logical(self, row: dict[str, Any]) -> Row:
        return {name: to_logical(self._relation.columns[name], row[name]) for name in self._columns}


_HAS_TEXT_FORM = (str, int, uuid.UUID, datetime, date, Decimal)


def _marks(values: Sequence[Any]) -> dict[str, Any]:
    return {f"after_{index}": value for index, value in enumerate(values)}


def _position(values: Sequence[Any]) -> str | None:
    """A key as text, or None where it has no text form. The server reads each text parameter as its column's type."""
    if not all(isinstance(value, _HAS_TEXT_FORM) and not isinstance(value, bool) for value in values):
        return None
    return json.dumps([str(value) for value in values])


def _fit(cast: str, value: Any) -> Any:
    try:
        match cast:
            case "uuid":
                return str(uuid.UUID(str(value)))
            case "bigint":
                return int(value)
            case _:
                text = str(value)
                return None if "\x00" in text else text
    except (ValueError, TypeError):
        return None
