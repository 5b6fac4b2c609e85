"""Making the template's words fit: other column names, other types, SELECTs, URLs without their secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from verifier.init.matching import identifiers
from verifier.init.sections import one_line
from verifier.init.survey import Found
from verifier.profile.relations import Column, ColumnType

INTEGERS = frozenset({"smallint", "integer", "bigint"})


def renamed(expression: str, columns: Mapping[str, str]) -> str:
    """An SQL expression with the stack's names for its columns."""
    for name in identifiers(expression):
        if columns.get(name, name) != name:
            expression = re.sub(rf"\b{re.escape(name)}\b", columns[name], expression)
    return expression


def type_of(column: Column, stored: str, name: str) -> ColumnType:
    """The logical type for what is stored: numbers are no text, and a time may be kept as a number."""
    if stored not in INTEGERS:
        return column.type
    if column.type == "text":
        return "integer"
    if column.type == "timestamp":
        return "epoch_s" if re.search(r"(_s|_sec|_secs|_seconds|_unix)\Z", name) else "epoch_ms"
    return column.type


def lost_tables(select: str, found: Sequence[Found]) -> list[str]:
    """The tables of a SELECT that are not there, and the columns that theirs do not have."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(select, dialect="postgres")
    by_name = {item.name.rpartition(".")[2]: item for item in found if item.name.startswith("public.")}
    tables = {table.alias_or_name: table.name for table in tree.find_all(exp.Table)}
    lost = [f"public.{name}" for name in tables.values() if name not in by_name]
    for column in tree.find_all(exp.Column):
        table = tables.get(column.table, "")
        if table in by_name and column.name not in by_name[table].columns:
            lost.append(f"public.{table}.{column.name}")
    return list(dict.fromkeys(lost))


def selected_tables(select: str) -> set[str]:
    """The tables that a SELECT of the template reads; it leaves out the schema, which is `public`."""
    import sqlglot
    from sqlglot import exp

    return {f"public.{table.name}" for table in sqlglot.parse_one(select, dialect="postgres").find_all(exp.Table)}


def shown(url: str) -> str:
    """A URL without its secrets; `…` where it cannot be taken apart with certainty."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        user = parts.username or ""
    except ValueError:
        return "…"
    if not host or "@" in parts.path + parts.query + parts.fragment:
        return "…"
    credentials = f"{user}:…@" if parts.password is not None else f"{user}@" if user else ""
    return one_line(f"{parts.scheme}://{credentials}{host}{parts.path}")
