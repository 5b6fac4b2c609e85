"""Row "Reports / audit" [D9]: reports refer to things that exist, and both tables are still written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from verifier.checks.identity import declared_openim_users
from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Absence, Reconcile
from verifier.proofs.records import ValueOf

ROW = "Reports / audit"


@check(
    "RPT-01",
    title="Reports refer to users, groups and messages that exist",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def reports_refer(profile: Profile) -> list[Reconcile]:
    """A moderator may open a report months later. What it refers to must still exist, or the report must contain a snapshot of it.
    A message is named by the platform's id, by one of OpenIM's two ids, or by OpenIM's conversation and seq."""
    optional = tuple(name for name in ("archived", "snapshot") if profile.has("reports", name))
    columns = ("kind", "target_id", *optional)
    users: list[tuple[Rows, str]] = [
        (Rows("users", ("user_id",)), "user_id"),
        (Rows("users", ("user_id", "openim_user_id")), "openim_user_id"),
    ]
    groups: list[tuple[Rows, str]] = [(Rows("openim.groups"), "group_id")]
    if profile.has("chat_groups", "group_id"):
        groups.append((Rows("chat_groups", ("group_id",)), "group_id"))
    messages = _messages(profile, columns)
    return [
        _refers(profile, "user", columns, users),
        _refers(profile, "group", columns, groups),
        *([messages] if messages else []),
    ]


def _refers(profile: Profile, kind: str, columns: tuple[str, ...], homes: list[tuple[Rows, str]]) -> Reconcile:
    declared = declared_openim_users(profile) if kind == "user" else ()

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        known = any(fnmatchcase(str(row["target_id"]), pattern) for pattern in declared)
        return None if partners or known or _settled(row) else _dangling(row)

    return Reconcile(
        subject=Rows("reports", columns, (Where("kind", "=", kind),)),
        against=homes[0][0],
        on=("target_id", homes[0][1]),
        or_against=tuple(homes[1:]),
        judge=judge,
        unit=f"{kind} reports",
    )


def _messages(profile: Profile, columns: tuple[str, ...]) -> Reconcile | None:
    """Reports about messages. None if the profile leads to no message at all."""
    placed = tuple(name for name in ("conversation_ref", "seq") if profile.has("reports", name))
    stored, rest = profile.roles.openim_mongo is not None, profile.roles.openim is not None
    homes: list[tuple[Rows, str]] = []
    if profile.has("messages", "message_id"):
        homes.append((Rows("messages", ("message_id",)), "message_id"))
    if stored:
        homes.append((Rows("openim_mongo.msg_id"), "message_id"))
    if not homes and not rest:
        return None
    also: tuple[tuple[ValueOf, Rows, str], ...] = ()
    if stored:
        also = (
            (_conversation_of, Rows("openim_mongo.msg_block"), "conversation_id"),
            (_conversation_of, Rows("openim_mongo.seq"), "conversation_id"),
        )
    elif rest:
        also = ((_place_text, Rows("openim.messages"), "place"),)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if any("message_id" in item for item in partners):
            return None
        place = _place(row)
        if place is None:
            return _dangling(row) if homes else None
        if not stored or place[1] < 1 or not _was_used(place[1], partners):
            return _dangling(row)
        return None

    unseen = ["whether the message at a seq is the reported one", "messages that were deleted before the report"]
    if not stored:
        unseen = ["messages in OpenIM by their id, which its REST API cannot look up; their reports need a snapshot"]
    first = homes[0] if homes else (Rows("openim.messages"), "place")
    return Reconcile(
        subject=Rows("reports", (*columns, *placed), (Where("kind", "=", "message"),)),
        against=first[0],
        on=("target_id", first[1]),
        convert=(lambda value: None if PLACE.fullmatch(str(value)) else value) if homes else lambda value: None,
        or_against=tuple(homes[1:]),
        also=also,
        # One with a snapshot needs nothing else, and OpenIM is not asked for it.
        applies=lambda row: not _settled(row),
        judge=judge,
        clocks=(),
        unit="message reports that rest on the message",
        statement="those that are archived or have a snapshot are left out",
        unseen=tuple(unseen),
    )


PLACE = re.compile(r"((?:si|sg|sn|n)_.+)[:/#](\d+)", re.DOTALL)
"""OpenIM's conversation id and a seq in one text. The kinds of conversation are those of [F54]."""
_OPENIM_CONVERSATION = re.compile(r"(?:si|sg|sn|n)_.+", re.DOTALL)


def _place(row: Row) -> tuple[str, int] | None:
    """OpenIM's conversation and the seq that a report names."""
    if (both := PLACE.fullmatch(str(row["target_id"]))) is not None:
        return both[1], int(both[2])
    name, seq = str(row.get("conversation_ref") or ""), str(row.get("seq") if row.get("seq") is not None else "")
    if not _OPENIM_CONVERSATION.fullmatch(name) or not seq.lstrip("-").isdigit():
        return None
    return name, int(seq)


def _conversation_of(row: Row) -> str | None:
    place = _place(row)
    return place[0] if place else None


def _place_text(row: Row) -> str | None:
    place = _place(row)
    return f"{place[0]}:{place[1]}" if place else None


def _was_used(seq: int, partners: Sequence[Row]) -> bool:
    """Whether a seq has or had a message. An empty slot below a stored message, and a seq below min_seq, had one that was
    deleted since or fell under retention; a number behind the last message was never used [F64, F76]."""
    highest = max((item["highest"] or 0 for item in partners if "highest" in item), default=0)
    lowest = max((item["min_seq"] or 0 for item in partners if "min_seq" in item), default=0)
    return seq <= highest or seq < lowest


def _settled(row: Row) -> bool:
    return bool(row.get("archived") or row.get("snapshot"))


def _dangling(row: Row) -> Problem:
    place = _place(row) if row["kind"] == "message" else None
    named = f"seq {place[1]} of conversation {place[0]}" if place else row["target_id"]
    return Problem(
        summary=f"report {row.get('report_id', '')} is about {row['kind']} {named}, which does not exist",
        expected=f"an existing {row['kind']}, a snapshot in the report, or an archived report",
        actual="none of them",
        next_step="Store a snapshot with each report, and use the id of the store that owns the reported object.",
    )


@check(
    "RPT-02",
    title="Reports and audit rows keep being written, with OpenIM ids",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def reports_live(profile: Profile) -> list[Absence | Reconcile]:
    """A report button that fails without an error is noticed only by the users who need it."""
    proofs: list[Absence | Reconcile] = [
        Absence(
            target=name,
            operations=frozenset({"insert"}),
            inserted_at="created_at" if profile.has(name, "created_at") else None,
            expect="activity",
            noun=f"row of {name}",
            next_step=f"Check that the service still writes {name}, for example by sending a test report.",
            statement=name,
        )
        for name in ("reports", "audit")
        if profile.has(name)
    ]
    if profile.has("reports", "kind", "target_id", "created_at") and profile.has("scope", "group_id"):

        def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
            at = row["created_at"]
            moved = [item for item in partners if at is not None and item["since"] is not None and item["since"] < at]
            if not moved:
                return None
            return Problem(
                summary=f"report {row.get('report_id', '')} names group {row['target_id']} by its legacy id although the group had moved",
                expected="the OpenIM group id",
                actual="the legacy id",
                next_step="Use OpenIM's group id for moved groups in clients and in the report service.",
            )

        proofs.append(
            Reconcile(
                subject=Rows("reports", ("kind", "target_id", "created_at"), (Where("kind", "=", "group"),)),
                against=Rows("scope", ("group_id", "since")),
                on=("target_id", "group_id"),
                judge=judge,
                unit="group reports",
            )
        )
    return proofs
