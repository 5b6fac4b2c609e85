"""Row "Conversation list / seq" [D2]: no copy of a frozen table under another name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Severity
from verifier.profile.models import Profile
from verifier.profile.relations import Relation
from verifier.proofs import Inventory
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

FROZEN = (
    "conversations",
    "conversation_sequences",
    "message_reads",
    "mentions",
    "chat_groups",
    "group_members",
    "messages",
)
"""The logical relations that are frozen."""
COMMON_COLUMNS = frozenset({"id", "user_id", "created_at", "updated_at", "deleted_at"})
"""Columns that many tables have, so that they do not identify one."""
_PLAIN = re.compile(r"[A-Za-z_]\w*\Z")
_KINDS = {"r": "table", "p": "table", "m": "materialised view", "f": "foreign table"}


@dataclass(slots=True)
class _Table:
    kind: str
    parent: str | None
    writes: int = 0
    columns: set[str] = field(default_factory=set)


@check(
    "CNV-06",
    title="There is no undeclared copy of a frozen table",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row="Conversation list / seq",
)
def no_other_table(profile: Profile) -> Inventory:
    """Conversations that are written to `conversations_v2`, to another schema or to a materialised view still have a second home beside OpenIM.
    A table that is new since the baseline is reported if it resembles a frozen one. An older one is reported only if it resembles one
    closely and was written since."""
    role = profile.relation("conversations").role
    declared = {_qualified(item.table) for item in profile.places if item.table and item.role == role}
    approved_names = profile.inventory.tables
    places = [place for name in FROZEN if name in profile.relations for place in profile.relations[name].places]
    frozen = [item for item in places if item.role == role and item.table]

    def judge(objects: Sequence[StoreObject], approved: Approved | None) -> list[Problem]:
        if approved is None:
            return []
        older = {name: int(writes) for name, _, writes in (text.rpartition(" ") for text in approved)}
        tables = _tables(objects)
        shapes = _shapes(tables, frozen)
        problems = []
        for name, table in tables.items():
            if table.parent is not None:
                continue  # a partition is watched or reported together with its parent
            if name in declared or any(fnmatchcase(name, pattern) for pattern in approved_names):
                continue
            written = table.writes - older.get(name, 0)
            if name in older and written <= 0:
                continue
            why = _resembles(name, table, shapes, closely=name in older)
            if table.kind in _KINDS and why:
                since = f"; {written} writes since the baseline" if name in older else ", and new since the baseline"
                problems.append(
                    Problem(
                        key=name,
                        summary=f"{_KINDS[table.kind]} {name} resembles a frozen table and is not declared",
                        expected="conversations, groups and related data in the declared tables only",
                        actual=why + since,
                        next_step="Approve it under inventory.tables, or stop its writer.",
                    )
                )
        return problems

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


def _written(item: StoreObject) -> str:
    """The text that the baseline stores for a table: its name, and how many writes the server counted."""
    return f"{item.attributes['table_name']} {item.attributes.get('writes') or 0}"


def _tables(objects: Sequence[StoreObject]) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for item in objects:
        about = item.attributes
        new = _Table(str(about["relkind"]), about.get("parent"), int(about.get("writes") or 0))
        table = tables.setdefault(str(about["table_name"]), new)
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


def _qualified(table: str) -> str:
    return table if "." in table else f"public.{table}"
