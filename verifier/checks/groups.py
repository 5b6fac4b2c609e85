"""Row "Group list / members" [D3]: the legacy tables do not change, and extensions and invites refer to OpenIM's groups."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Absence, Inventory, Reconcile, Rule
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

ROW = "Group list / members"
DISMISSED = 2
GROUP_STATE = re.compile(
    r"(^|_)(name|title|avatar|face|face_?url|icon|owner|owner_?id|creator|members?|member_?(ids|list|count)|admins?|introduction|notification|announcement)$",
    re.IGNORECASE,
)


@check(
    "GRP-01", title="Legacy groups and members do not change", severity=Severity.CRITICAL, phase=Phase.FROZEN, row=ROW
)
def groups_frozen(profile: Profile) -> list[Absence]:
    """OpenIM decides who is a member of a group. A user who is added only to the legacy table receives no messages,
    and one who is removed only there still does. With `watched` of the relation, other columns of a row may change."""
    times = {"chat_groups": ("created_at", "updated_at"), "group_members": ("joined_at", "updated_at")}
    mapped = [name for name in times if profile.has(name, "group_id")]
    if not mapped:
        profile.relation("chat_groups", "group_id")
    operations = frozenset({"insert", "update", "delete", "truncate"})
    return [
        Absence(
            target=name,
            operations=operations - {"update"} if _holds_reads(profile, name) else operations,
            doubtful=frozenset({"update"}) if _holds_reads(profile, name) else frozenset(),
            doubt=(
                "the table also holds read positions, which policy message_reads = 'kept' lets change: name the columns of membership "
                f"in `watched` of relation {name}"
            ),
            scoped_by=("group", "group_id"),
            inserted_at=times[name][0] if profile.has(name, times[name][0]) else None,
            updated_at=times[name][1] if profile.has(name, times[name][1]) else None,
            noun=f"row of {name}",
            next_step="Send group changes to OpenIM. Make this change there, then delete the row.",
            statement=name,
        )
        for name in mapped
    ]


def _holds_reads(profile: Profile, name: str) -> bool:
    """Whether a table also holds read positions that may change, and the profile does not say which columns matter."""
    if profile.policies.message_reads != "kept" or not profile.has("message_reads"):
        return False
    reads = {(place.role, place.table) for place in profile.relation("message_reads").places if place.table}
    return any((place.role, place.table) in reads and not place.watched for place in profile.relation(name).places)


@check(
    "GRP-02", title="The group extension repeats no group state", severity=Severity.HIGH, phase=Phase.CUTOVER, row=ROW
)
def extension_is_thin(profile: Profile) -> list[Inventory | Rule]:
    """Name, avatar, owner and members belong to OpenIM. A copy in the extension is a second home of the same fact and will differ."""
    relation = profile.relation("group_extensions")
    proofs: list[Inventory | Rule] = []
    if relation.table is not None:
        table = relation.table

        def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
            return [
                _state_problem(item.name, f"column {item.attributes['column_name']}")
                for item in objects
                if GROUP_STATE.search(str(item.attributes["column_name"])) and item.name not in profile.inventory.tables
            ]

        proofs.append(
            Inventory(
                role=relation.role,
                kinds=("columns",),
                judge=judge,
                applies=lambda item: item.attributes["table_name"] in (table, f"public.{table}"),
                unit="columns of the extension",
            )
        )
    documents = tuple(name for name, column in relation.columns.items() if column.type == "json")
    if documents:

        def inside(row: Row) -> Problem | None:
            found = next(
                (path for name in documents for path in _paths(row[name], name) if GROUP_STATE.search(path)), None
            )
            return _state_problem(found, f"JSON field {found}") if found else None

        proofs.append(Rule(subject=Rows("group_extensions", documents), judge=inside, unit="extension rows"))
    if not proofs:
        raise NotApplicable("the extension is mapped by a SELECT; name its table to have its columns judged")
    return proofs


def _state_problem(key: str, what: str) -> Problem:
    return Problem(
        key=key,
        summary=f"the group extension stores group state: {what}",
        expected="only data that OpenIM does not store",
        actual=what,
        next_step="Read it from OpenIM and drop it here, or approve the column under inventory.tables if it means something else.",
    )


def _paths(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{prefix}.{name}".rpartition(".")[2]
            yield from _paths(item, f"{prefix}.{name}")


@check(
    "GRP-03",
    title="Every group extension belongs to one OpenIM group",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def extension_refers(profile: Profile) -> list[Reconcile]:
    """An extension without a group is orphaned. Two extensions of one group can contradict each other."""

    def exists(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None  # a dismissed group keeps its extension, because reports refer to it
        return Problem(
            summary=f"the extension refers to group {row['openim_group_id']}, which OpenIM does not know",
            expected="a group in OpenIM; it may be dismissed",
            actual="unknown" if row["openim_group_id"] else "NULL",
            next_step="Correct the id (OpenIM's group id, as text) or delete the row.",
        )

    def unique(row: Row, partners: Sequence[Row]) -> Problem | None:
        if len(partners) < 2:
            return None
        return Problem(
            summary=f"group {row['openim_group_id']} has {len(partners)} extensions",
            expected="one extension",
            actual=str(len(partners)),
            next_step="Merge the rows and make the column unique.",
        )

    subject = Rows("group_extensions", ("openim_group_id",))
    on = ("openim_group_id", "openim_group_id")
    return [
        Reconcile(
            subject=subject,
            against=Rows("openim.groups"),
            on=("openim_group_id", "group_id"),
            judge=exists,
            unit="extensions",
        ),
        Reconcile(subject=subject, against=subject, on=on, judge=unique, unit="extensions"),
    ]


@check(
    "GRP-07",
    title="Invite codes lead to groups that exist and are not dismissed",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def invites_refer(profile: Profile) -> list[Reconcile]:
    """An invite to a group that does not exist, or to the legacy group that moved, cannot be used."""
    if profile.policies.group_invites == "openim":
        raise NotApplicable("policy: group_invites = 'openim'")
    unexpired = Where("expires_at", ">", datetime.now(UTC))

    def live(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners and partners[0]["status"] != DISMISSED:
            return None
        return Problem(
            summary=f"an unexpired invite leads to group {row['openim_group_id']}, which is {'dismissed' if partners else 'unknown to OpenIM'}",
            expected="a group in OpenIM that is not dismissed",
            actual="dismissed" if partners else "unknown",
            next_step="Expire invites when a group is dismissed.",
        )

    proofs = [
        Reconcile(
            subject=Rows("invites", ("openim_group_id",), (unexpired, Where("openim_group_id", "not null"))),
            against=Rows("openim.groups"),
            on=("openim_group_id", "group_id"),
            judge=live,
            unit="unexpired invites to OpenIM groups",
        )
    ]
    if profile.has("invites", "legacy_group_id") and profile.has("scope", "group_id"):

        def left_behind(row: Row, partners: Sequence[Row]) -> Problem | None:
            if not partners:
                return None
            return Problem(
                summary=f"an unexpired invite still leads to legacy group {row['legacy_group_id']}, which moved to OpenIM",
                expected=f"OpenIM group {partners[0].get('openim_group_id') or ''}".strip(),
                actual="the legacy group",
                next_step="Move invites together with their group.",
            )

        columns = tuple(name for name in ("group_id", "openim_group_id") if profile.has("scope", name))
        proofs.append(
            Reconcile(
                subject=Rows(
                    "invites",
                    ("legacy_group_id",),
                    (unexpired, Where("openim_group_id", "is null"), Where("legacy_group_id", "not null")),
                ),
                against=Rows("scope", columns),
                on=("legacy_group_id", "group_id"),
                judge=left_behind,
                unit="unexpired invites to legacy groups",
            )
        )
    return proofs
