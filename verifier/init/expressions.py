"""The template's SQL, adapted to a stack: other column names, other types, and what a SELECT needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from verifier.init.matching import identifiers
from verifier.init.survey import Found
from verifier.profile.relations import Column, ColumnType

INTEGERS = frozenset({"smallint", "integer", "bigint"})


def renamed(expression: str, columns: Mapping[str, str]) -> str:
    """An SQL expression with the stack's names for its columns; `columns` maps the template's names to them."""
    for name in identifiers(expression):
        if columns.get(name, name) != name:
            expression = re.sub(rf"\b{re.escape(name)}\b", columns[name], expression)
    return expression


def logical_type(column: Column, stored: str, name: str) -> ColumnType:
    """The logical type of a column: as in the template, unless the database stores a number (type `stored`) for a text or a time."""
    if stored not in INTEGERS:
        return column.type
    if column.type == "text":
        return "integer"
    if column.type == "timestamp":
        return "epoch_s" if re.search(r"(_s|_sec|_secs|_seconds|_unix)\Z", name) else "epoch_ms"
    return column.type


def missing_objects(select: str, found: Sequence[Found]) -> list[str]:
    """The tables that a SELECT reads and that do not exist, and the columns that its existing tables lack."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(select, dialect="postgres")
    by_name = {item.name.rpartition(".")[2]: item for item in found if item.name.startswith("public.")}
    tables = {table.alias_or_name: table.name for table in tree.find_all(exp.Table)}
    missing = [f"public.{name}" for name in tables.values() if name not in by_name]
    for column in tree.find_all(exp.Column):
        table = tables.get(column.table, "")
        if table in by_name and column.name not in by_name[table].columns:
            missing.append(f"public.{table}.{column.name}")
    return list(dict.fromkeys(missing))


def selected_tables(select: str) -> set[str]:
    """The tables that a SELECT of the template reads. It names no schema: they are in `public`."""
    import sqlglot
    from sqlglot import exp

    return {f"public.{table.name}" for table in sqlglot.parse_one(select, dialect="postgres").find_all(exp.Table)}
