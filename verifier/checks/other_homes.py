"""Objects that resemble a relation and are not declared: tables in PostgreSQL, collections in MongoDB.

A relation may be in either store. MSG-03 and CNV-06 ask the same question of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
COMMON = frozenset({"id", "_id", "user_id", "created_at", "updated_at", "deleted_at"})
"""Names that many tables and collections have, so that they do not identify one."""
_PLAIN = re.compile(r"[A-Za-z_]\w*\Z")
_KINDS = {"r": "table", "p": "table", "m": "materialised view", "f": "foreign table"}


@dataclass(slots=True)
class _Table:
    kind: str
    parent: str | None
    columns: set[str] = field(default_factory=set)


def undeclared(profile: Profile, relation: Relation, noun: str) -> list[Inventory]:
    """The objects that resemble one of a relation's homes, in every store that has one. `noun`: what the relation holds.

    Raises NotApplicable where all homes are in Redis.
    """
    found: dict[tuple[str, bool], list[Relation]] = {}
    for place in relation.places:
        if not place.keys:
            found.setdefault((place.role, place.collection is not None), []).append(place)
    if not found:
        raise NotApplicable(f"the {noun} are in Redis, whose keys are not listed")
    return [
        (undeclared_collections if in_mongo else undeclared_tables)(profile, places, noun)
        for (_, in_mongo), places in found.items()
    ]


def undeclared_collections(profile: Profile, relations: Sequence[Relation], noun: str) -> Inventory:
    """The collections that resemble one of `relations`, which are in MongoDB. `noun`: what these relations hold."""
    role = relations[0].role
    database = database_of(profile, relations[0])
    declared = [
        *(f"{database}.{item.collection}" for item in profile.places if item.collection),
        *profile.inventory.collections,
    ]
    shapes = [(item.collection or "", _fields(item, common=frozenset({"_id"}))) for item in relations]
    chat = noun == "messages"

    def resembles(item: StoreObject) -> bool:
        fields = {str(name).partition(".")[0] for name in item.attributes.get("fields", ())}
        name = item.name.partition(".")[2].lower()
        if chat and sum(any(word in field.lower() for word in CHAT_WORDS) for field in fields) >= 3:
            return True
        return any(_same(name, base.lower()) or len(fields & shape) * 2 > len(shape) > 0 for base, shape in shapes)

    def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
        return [
            Problem(
                key=item.name,
                summary=f"collection {item.name} looks like a collection of {noun} and is not declared",
                expected=f"{noun} in the declared collections only",
                actual=f"{item.attributes.get('count', '?')} documents with {', '.join(list(item.attributes.get('fields', ()))[:8]) or 'no fields seen'}",
                next_step="Declare it under inventory.collections, or stop its writer.",
            )
            for item in objects
            if not any(fnmatchcase(item.name, pattern) for pattern in declared) and resembles(item)
        ]

    return Inventory(
        role=role,
        kinds=("collections",),
        judge=judge,
        unit="collections",
        unseen=("a collection that was filled and emptied between two runs",),
    )


def undeclared_tables(profile: Profile, relations: Sequence[Relation], noun: str) -> Inventory:
    """The tables that resemble one of `relations`, which are in PostgreSQL. `noun`: what these relations hold."""
    role = relations[0].role
    declared = {qualified(item.table) for item in profile.places if item.table and item.role == role}
    declared |= {qualified(name) for item in profile.places if item.role == role for name in item.watches}

    def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
        tables = _tables(objects)
        return [
            Problem(
                key=name,
                summary=f"{_KINDS[table.kind]} {name} looks like a table of {noun} and is not declared",
                expected=f"{noun} in the declared tables only",
                actual=why,
                next_step="Approve it under inventory.tables, or stop its writer.",
            )
            for name, table in tables.items()
            if table.kind in _KINDS
            and table.parent is None  # a partition is judged together with its parent
            and name not in declared
            and not any(fnmatchcase(name, pattern) for pattern in profile.inventory.tables)
            and (why := _likeness(name, table, relations))
        ]

    return Inventory(
        role=role,
        kinds=("columns",),
        judge=judge,
        unit="columns",
        unseen=("a table that was created, filled and dropped between two runs", "tables in other databases"),
    )


def _tables(objects: Iterable[StoreObject]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for item in objects:
        about = item.attributes
        table = tables.setdefault(str(about["table_name"]), _Table(str(about["relkind"]), about.get("parent")))
        table.columns.add(str(about["column_name"]))
    return tables


def _likeness(name: str, table: _Table, relations: Sequence[Relation]) -> str:
    for relation in relations:
        base = (relation.table or "").rpartition(".")[2].lower()
        if base and _same(name.rpartition(".")[2].lower(), base):
            return f"named like {relation.table}"
        shape = _fields(relation)
        shared = table.columns & shape
        if len(shared) >= 2 and len(shared) * 2 > len(shape):
            return f"with the columns {', '.join(sorted(shared))} of {relation.table or 'the mapped SELECT'}"
    return ""


def _fields(relation: Relation, *, common: frozenset[str] = COMMON) -> set[str]:
    """The characteristic columns or top-level fields that the profile maps."""
    names = {column.column.partition(".")[0] for column in relation.columns.values()}
    return {name for name in names if _PLAIN.match(name)} - common


def _same(name: str, base: str) -> bool:
    """Whether a name is that of a relation, or that with something before or after it, such as `messages_2026_11`."""
    return bool(base) and re.search(rf"(^|[._-]){re.escape(base)}($|[._-]|v?\d)", name) is not None
