"""The SQL of a relation: the text of its chunks, look-ups and count, for the types that its columns have on this server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from verifier.model.query import Rows, Where
from verifier.profile.relations import Column, Relation
from verifier.stores.convert import sql_condition, to_stored
from verifier.stores.postgres.values import BOOL, NO_EQUALITY, PLAIN, TIMESTAMP, array_literal, forms, naive

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
TIES_SINCE = 130_000
"""The first server version with FETCH FIRST … WITH TIES."""
Types = Mapping[str, int]
"""The type OID of each logical column. Empty where they are not known: `explain` shows the text without casts."""


def expression(column: Column) -> str:
    """A column as SQL: a plain name is quoted, everything else is an expression of the profile."""
    return f'"{column.column}"' if _PLAIN.match(column.column) else f"({column.column})"


def from_clause(relation: Relation) -> str:
    """What follows FROM."""
    if relation.select:
        return f"({relation.select.strip().rstrip(';')}) AS r"
    return ".".join(f'"{part}"' for part in (relation.table or "").split("."))


class Statements:
    """The statements for some columns of a relation under some conditions. Their order is that of the key."""

    def __init__(self, relation: Relation, rows: Rows, default_zone: str | None) -> None:
        self._relation = relation
        self._rows = rows
        self._default_zone = default_zone
        self.columns = tuple(dict.fromkeys((*relation.key, *rows.columns)))
        self._columns = relation.columns
        self._from = from_clause(relation).replace("%", "%%")  # the text is the profile's, and parameters follow it

    def types(self, names: Iterable[str]) -> str:
        """A query without rows, whose columns have the types of these logical columns."""
        targets = ", ".join(expression(self._columns[name]) for name in names)
        return f"SELECT {targets} FROM {from_clause(self._relation)} LIMIT 0"  # noqa: S608 - names come from the profile

    def chunk(self, types: Types, *, after: bool, nullable: Iterable[str] = (), ties: bool = True) -> str:
        """The first records in the order of the key, or those after the marks of a chunk. NULL has no place in an order: rows
        without a key have a statement of their own.

        With `ties`, the last record comes with all others that have its key, because the next chunk starts behind them.
        """
        keys = [self._comparable(name, types) for name in self._relation.key]
        conditions = [*self._conditions(types), *(f"{self._target(name)} IS NOT NULL" for name in nullable)]
        if after:
            marks = ", ".join(f"%(after_{index})s" for index in range(len(keys)))
            conditions.append(f"({', '.join(keys)}) > ({marks})")
        order = ", ".join(self._ordering(name, types) for name in self._relation.key)
        limit = "FETCH FIRST (%(chunk_rows)s) ROWS WITH TIES" if ties else "LIMIT %(chunk_rows)s"
        return f"{self._select(types)}{_where(conditions)} ORDER BY {order} {limit}"

    def without_key(self, types: Types, nullable: Iterable[str]) -> str:
        """The records with NULL in a key column."""
        missing = " OR ".join(f"{self._target(name)} IS NULL" for name in nullable)
        return f"{self._select(types)}{_where([*self._conditions(types), f'({missing})'])} LIMIT %(limit)s"

    def count(self, types: Types) -> str:
        """The number of records, those without a key included."""
        return f"SELECT count(*) AS counted FROM {self._from}{_where(self._conditions(types))}"  # noqa: S608 - as above

    def equal(self, types: Types, column: str, *, listed: int = 0) -> str:
        """The records whose column equals one of the parameter `values`; with `listed`, of so many parameters.

        The server reads each value as the column's own type, because the parameter is an untyped literal. The column is not
        cast, so that its index is used.
        """
        target = self._comparable(column, types)
        if listed:
            return self._equal(types, f"{target} IN ({', '.join(f'%(value_{index})s' for index in range(listed))})")
        return self._equal(types, f"{target} = ANY(%(values)s)")

    def fits(self, types: Types, column: str) -> str:
        """A query without rows that fails if one of the parameter `values` does not fit the column's type."""
        target = self._comparable(column, types)
        return f"SELECT 1 AS fits FROM {self._from} WHERE {target} = ANY(%(values)s) LIMIT 0"  # noqa: S608 - as above

    def null(self, types: Types, column: str) -> str:
        """The records without a value in a column."""
        return self._equal(types, f"{self._target(column)} IS NULL") + " LIMIT %(limit)s"

    def parameters(self, types: Types) -> dict[str, Any]:
        """The values of the conditions, in the form that their column compares."""
        return {
            f"where_{index}": self._value(where, types.get(where.column, 0))
            for index, where in enumerate(self._rows.where)
            if where.op not in ("is null", "not null")
        }

    def _equal(self, types: Types, condition: str) -> str:
        return f"{self._select(types)}{_where([condition, *self._conditions(types)])}"

    def _target(self, name: str) -> str:
        return expression(self._columns[name]).replace("%", "%%")

    def _comparable(self, name: str, types: Types) -> str:
        target = self._target(name)
        return f"{target}::text" if types.get(name) in NO_EQUALITY else target

    def _ordering(self, name: str, types: Types) -> str:
        """A column in ORDER BY. A bare name would mean a column of the result, which may be another one or a cast."""
        target, column = self._comparable(name, types), self._columns[name].column
        if not target.startswith('"') or target.endswith("::text"):
            return target
        table = "r" if self._relation.select else f'"{(self._relation.table or "").rpartition(".")[2]}"'
        return f'{table}."{column}"'

    def _select(self, types: Types) -> str:
        shown = ", ".join(f'{self._shown(name, types)} AS "{name}"' for name in self.columns)
        keys = ", ".join(f"({self._target(name)})::text AS _k{index}" for index, name in enumerate(self._relation.key))
        return f"SELECT {shown}, {keys} FROM {self._from}"  # noqa: S608 - as above

    def _shown(self, name: str, types: Types) -> str:
        """A type without a form in Python, or with one that does not lead back, is read as the server's text."""
        as_text = self._columns[name].type == "text" and name in types and types[name] not in PLAIN
        return f"({self._target(name)})::text" if as_text else self._target(name)

    def _conditions(self, types: Types) -> list[str]:
        where = self._relation.where
        parts = [f"({where.replace('%', '%%')})"] if isinstance(where, str) else []
        return parts + [self._condition(index, item) for index, item in enumerate(self._rows.where)]

    def _condition(self, index: int, where: Where) -> str:
        target = self._target(where.column)
        match where.op:
            case "is null":
                return f"{target} IS NULL"
            case "not null":
                return f"{target} IS NOT NULL"
            case "in":
                return f"{target} = ANY(%(where_{index})s)"
            case operator:
                return sql_condition(self._columns[where.column], target, operator, f"%(where_{index})s")

    def _value(self, where: Where, oid: int) -> Any:
        column = self._columns[where.column]
        if where.op == "in":
            found = (text for item in where.value for text in forms(oid, column, item, self._default_zone))
            return array_literal(list(found))
        stored = to_stored(column, where.value)
        if oid == TIMESTAMP and hasattr(stored, "astimezone"):
            return naive(stored, column.zone or self._default_zone)
        # As an untyped literal, a number or a text takes the type of its column.
        return (
            str(stored) if isinstance(stored, int | str) and not (isinstance(stored, bool) or oid == BOOL) else stored
        )


def _where(conditions: Iterable[str]) -> str:
    joined = " AND ".join(conditions)
    return f" WHERE {joined}" if joined else ""
