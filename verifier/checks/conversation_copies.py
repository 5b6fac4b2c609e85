"""Row "Conversation list / seq" [D2]: no copy of a frozen table under another name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from verifier.checks.other_homes import undeclared_collections
from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Severity
from verifier.profile.models import Profile
from verifier.profile.relations import Relation
from verifier.proofs import Inventory
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

FROZEN = ("conversations", "conversation_sequences", "message_reads", "mentions", "groups", "group_members", "messages")
COMMON_COLUMNS = frozenset({"id", "user_id", "created_at", "updated_at", "deleted_at"})
"""Columns that many tables have, so that they do not identify one."""
_PLAIN = re.compile(r"[A-Za-z_]\w*\Z")
_KINDS = {"r": "table", "p": "table", "m": "materialised view", "f": "foreign table"}


@dataclass(slots=True)
class _Table:
    kind: str
    parent: str | None
    columns: set[str] = field(default_factory=set)


@check(
    "CNV-06",
    title="There is no undeclared copy of a frozen table",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row="Conversation list / seq",
)
def no_other_table(profile: Profile) -> Inventory:
    """Conversations that are written to `conversations_v2`, to another schema or to a materialised view still have a second home beside OpenIM."""
    conversations = profile.relation("conversations")
    if conversations.keys:
        raise NotApplicable("relation conversations is in Redis, whose keys are not listed")
    if conversations.collection:
        return undeclared_collections(profile, [conversations], "conversations")
    role = conversations.role
    declared = {_qualified(item.table) for item in profile.relations.values() if item.table and item.role == role}
    approved_names = profile.inventory.tables
    relations = [profile.relations[name] for name in FROZEN if name in profile.relations]
    frozen = [item for item in relations if item.role == role and item.table]

    def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
        tables = _tables(objects)
        shapes = _shapes(tables, frozen)
        problems = []
        for name, table in tables.items():
            if table.parent is not None:
                continue  # a partition is watched or reported together with its parent
            if name in declared or any(fnmatchcase(name, pattern) for pattern in approved_names):
                continue
            if table.kind in _KINDS and (why := _resembles(name, table, shapes)):
                problems.append(
                    Problem(
                        key=name,
                        summary=f"{_KINDS[table.kind]} {name} resembles a frozen table and is not declared",
                        expected="conversations, groups and related data in the declared tables only",
                        actual=why,
                        next_step="Approve it under inventory.tables, or stop its writer.",
                    )
                )
        return problems

    return Inventory(
        role=role,
        kinds=("columns",),
        judge=judge,
        unit="columns",
        unseen=("a table that was created, filled and dropped between two runs", "tables in other databases"),
    )


def _tables(objects: Sequence[StoreObject]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for item in objects:
        about = item.attributes
        table = tables.setdefault(str(about["table_name"]), _Table(str(about["relkind"]), about.get("parent")))
        table.columns.add(str(about["column_name"]))
    return tables


def _shapes(tables: Mapping[str, _Table], frozen: Sequence[Relation]) -> dict[str, set[str]]:
    """The characteristic columns of each frozen table: those it has or, if it was dropped, those that the profile maps."""
    shapes = {}
    for relation in frozen:
        name = _qualified(relation.table or "")
        mapped = {column.column for column in relation.columns.values() if _PLAIN.match(column.column)}
        shapes[name] = (tables[name].columns if name in tables else mapped) - COMMON_COLUMNS
    return shapes


def _resembles(name: str, table: _Table, shapes: Mapping[str, set[str]]) -> str:
    """In what a table resembles a frozen one, or ""."""
    own = name.rpartition(".")[2].lower()
    for of, shape in shapes.items():
        base = of.rpartition(".")[2].lower()
        if own == base or own.startswith(f"{base}_") or own.endswith(f"_{base}"):
            return f"named like {of}"
        shared = table.columns & shape
        if len(shared) >= 2 and len(shared) * 2 > len(shape):
            return f"with the columns {', '.join(sorted(shared))} of {of}"
    return ""


def _qualified(table: str) -> str:
    return table if "." in table else f"public.{table}"
