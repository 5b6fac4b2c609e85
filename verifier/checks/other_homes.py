"""Objects that resemble a relation and are not declared: tables in PostgreSQL, collections in MongoDB.

A relation may be in either store. MSG-03 and CNV-06 ask the same question of both.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from verifier.checks.registry import NotApplicable
from verifier.checks.user_service import database_of, qualified
from verifier.model.invariant import Problem
from verifier.profile.models import Profile
from verifier.profile.relations import Relation
from verifier.proofs import Inventory
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

CHAT_WORDS = ("message", "conversation", "chat", "sender", "content", "seq")
COMMON_COLUMNS = frozenset({"id", "user_id", "created_at", "updated_at", "deleted_at"})
"""Columns that many tables have, so that they do not identify one."""
_PLAIN = re.compile(r"[A-Za-z_]\w*\Z")
_KINDS = {"r": "table", "p": "table", "m": "materialised view", "f": "foreign table"}


@dataclass(slots=True)
class _Table:
    kind: str
    ancestors: frozenset[str]
    writes: int = 0
    columns: set[str] = field(default_factory=set)


def undeclared(profile: Profile, name: str, *, alike: Sequence[str] = ()) -> list[Inventory]:
    """The objects that resemble a relation, in every store that has one of its homes; with `alike`, those that resemble one of
    these relations there.

    Raises NotApplicable where all of its homes are in Redis.
    """
    stores: dict[tuple[str, bool], list[Relation]] = {}
    for place in profile.relation(name).places:
        if not place.keys:
            stores.setdefault((place.role, place.collection is not None), [])
    if not stores:
        raise NotApplicable(f"relation {name} is in Redis, whose keys are not listed")
    for other in dict.fromkeys((name, *alike)):
        for place in profile.relations[other].places if other in profile.relations else ():
            if (place.role, place.collection is not None) in stores and not place.keys:
                stores[place.role, place.collection is not None].append(place)
    return [
        _collections(profile, places, name) if in_mongo else _undeclared_tables(profile, places)
        for (_, in_mongo), places in stores.items()
    ]


# ---- collections ----


def _collections(profile: Profile, places: Sequence[Relation], noun: str) -> Inventory:
    database = database_of(profile, places[0])
    declared = [
        *(f"{database}.{item.collection}" for item in profile.places if item.collection),
        *profile.inventory.collections,
    ]
    shapes = [(item.collection or "", _fields(item)) for item in places]

    def resembles(item: StoreObject) -> bool:
        fields = {str(name).partition(".")[0] for name in item.attributes.get("fields", ())}
        name = item.name.partition(".")[2].lower()
        if noun == "messages" and sum(any(word in field.lower() for field in fields) for word in CHAT_WORDS) >= 3:
            return True
        return any(_same(name, base.lower()) or len(fields & shape) * 2 > len(shape) > 0 for base, shape in shapes)

    def judge(objects: Sequence[StoreObject], approved: Approved | None) -> list[Problem]:
        if approved is None:
            return []
        older = {name: int(count) for name, _, count in (text.rpartition(" ") for text in approved)}

        def grew(item: StoreObject) -> bool:
            """New since the baseline, made anew, or with more documents than it had then."""
            before = older.get(_identity(item))
            return before is None or int(item.attributes.get("count") or 0) > before

        return [
            Problem(
                key=item.name,
                summary=f"collection {item.name} looks like a collection of {noun} and is not declared",
                expected=f"{noun} in the declared collections only",
                actual=f"{item.attributes.get('count', '?')} documents with {', '.join(list(item.attributes.get('fields', ()))[:8]) or 'no fields seen'}",
                next_step="Declare it under inventory.collections, or stop its writer.",
            )
            for item in objects
            if not any(fnmatchcase(item.name, pattern) for pattern in declared) and grew(item) and resembles(item)
        ]

    return Inventory(
        role=places[0].role,
        kinds=("collections",),
        judge=judge,
        remembered=True,
        fingerprint=lambda item: f"{_identity(item)} {item.attributes.get('count') or 0}",
        unit="collections",
        unseen=(
            "a collection that was filled and emptied between two runs",
            "changes in a collection that is older than the baseline and does not grow",
        ),
    )


def _identity(item: StoreObject) -> str:
    """A collection's name with the id that the server gave it, so that one that was made anew is a new one."""
    return f"{item.name} {item.attributes.get('uuid') or '-'}"


def _fields(relation: Relation) -> set[str]:
    """The top-level fields that the profile maps."""
    return {column.column.partition(".")[0] for column in relation.columns.values()} - {"_id"}


def _same(name: str, base: str) -> bool:
    """Whether a name is that of a relation, or that with something before or after it, such as `messages_2026_11`."""
    return bool(base) and re.search(rf"(^|[._-]){re.escape(base)}($|[._-]|v?\d)", name) is not None


# ---- tables ----


def _undeclared_tables(profile: Profile, places: Sequence[Relation]) -> Inventory:
    role = places[0].role
    mapped = {name for item in profile.places if item.role == role for name in (item.table, *item.watches) if name}
    frozen = [item for item in places if item.table]

    def judge(objects: Sequence[StoreObject], approved: Approved | None) -> list[Problem]:
        if approved is None:
            return []
        older = {name: int(writes) for name, _, writes in (text.rpartition(" ") for text in approved)}
        tables = _tables(objects)
        declared, shapes = declared_tables(mapped, tables), _shapes(tables, frozen)
        left_out = declared | {
            name for name in tables if any(fnmatchcase(name, pattern) for pattern in profile.inventory.tables)
        }
        problems: dict[str, Problem] = {}
        for name, table in tables.items():
            if name in left_out or table.ancestors & left_out:
                continue  # whoever reads a table reads its partitions and children too
            known = name in older or not table.ancestors.isdisjoint(older)
            written = table.writes - older.get(name, 0)
            if known and written <= 0:
                continue
            why = _resembles(name, table, shapes, closely=known)
            if table.kind in _KINDS and why:
                since = f"; {written} writes since the baseline" if known else ", and new since the baseline"
                problems[name] = Problem(
                    key=name,
                    summary=f"{_KINDS[table.kind]} {name} resembles a frozen table and is not declared",
                    expected="conversations, groups and related data in the declared tables only",
                    actual=why + since,
                    next_step="Approve it under inventory.tables, or stop its writer.",
                )
        # A partition or child is reported together with its parent.
        return [problem for name, problem in problems.items() if tables[name].ancestors.isdisjoint(problems)]

    return Inventory(
        role=role,
        kinds=("columns",),
        judge=judge,
        remembered=True,
        fingerprint=_written,
        unit="columns",
        unseen=(
            "a table that was created, filled and dropped between two runs",
            "tables in other databases",
            "whether a foreign table or a materialised view that is older than the baseline was written",
        ),
    )


def declared_tables(mapped: Collection[str], there: Collection[str]) -> set[str]:
    """The mapped tables with their schemas. One without a schema in the profile is that of `public`; if there is none, the
    connection's search path leads to it, and all tables of the name count."""
    found = set()
    for name in mapped:
        if "." in name or qualified(name) in there:
            found.add(qualified(name))
        else:
            found |= {qualified(name), *(item for item in there if item.rpartition(".")[2] == name)}
    return found


def _written(item: StoreObject) -> str:
    """The text that the baseline stores for a table: its name, and how many writes the server counted."""
    return f"{item.attributes['table_name']} {item.attributes.get('writes') or 0}"


def _tables(objects: Sequence[StoreObject]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for item in objects:
        about = item.attributes
        new = _Table(str(about["relkind"]), frozenset(about.get("ancestors", ())), int(about.get("writes") or 0))
        table = tables.setdefault(str(about["table_name"]), new)
        table.columns.add(str(about["column_name"]))
    return tables


def _shapes(tables: Mapping[str, _Table], frozen: Sequence[Relation]) -> dict[str, set[str]]:
    """The characteristic columns of each frozen table: those it has or, if it was dropped, those that the profile maps."""
    shapes = {}
    for relation in frozen:
        name = qualified(relation.table or "")
        mapped = {column.column for column in relation.columns.values() if _PLAIN.match(column.column)}
        shapes[name] = (tables[name].columns if name in tables else mapped) - COMMON_COLUMNS
    return shapes


def _resembles(name: str, table: _Table, shapes: Mapping[str, set[str]], *, closely: bool) -> str:
    """In what a table resembles a frozen one, or "". `closely`: two columns that are alike by chance are not enough."""
    own = name.rpartition(".")[2].lower()
    for of, shape in shapes.items():
        base = of.rpartition(".")[2].lower()
        shared = table.columns & shape
        named = own == base or own.startswith(f"{base}_") or own.endswith(f"_{base}")
        if named and (len(shared) >= 2 or not closely):
            return f"named like {of}"
        wanted = max(3, 2 * len(shape) / 3) if closely else max(2, len(shape) / 2 + 0.5)
        if len(shared) >= wanted:
            return f"with the columns {', '.join(sorted(shared))} of {of}"
    return ""
