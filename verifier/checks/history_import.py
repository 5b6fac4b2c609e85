"""Row "Chat messages", what OpenIM's own store holds: canaries' messages for good, and the history that was imported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from verifier.checks.registry import NotApplicable, check
from verifier.checks.seqs import require_openim_mongo
from verifier.judges.scribe import digest
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Histories, Reconcile, Retention, Unique
from verifier.proofs.histories import Mark

ROW = "Chat messages"
DELETED = 4
TEXT, NOTIFICATIONS = 101, 1000
"""OpenIM's content types: a text, and from where on they are notices of its own."""


@check(
    "MSG-05",
    title="Canary messages outlive OpenIM's cache",
    severity=Severity.CRITICAL,
    phase=Phase.CUTOVER,
    row=ROW,
)
def durable(profile: Profile) -> Reconcile:
    """OpenIM answers from its cache for a day. What its queue lost on the way to the database is acknowledged, pushed, read for 24
    hours, and then gone. So what an older canary read back is looked for again: in its slot of OpenIM's database, or, where
    that is not given, by a pull for the canary."""
    if profile.canary is None:
        raise NotApplicable("canary off: the profile has no [canary]")
    stored = profile.roles.openim_mongo is not None

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        found = partners[0] if partners else None
        if found is not None and found["status"] != DELETED and found["digest"] == row["digest"]:
            return None
        kept = found is not None and found["status"] != DELETED
        return Problem(
            key=str(row["place"]),
            summary=f"canary message {row['marker']} was read at seq {row['seq']} of {row['conversation_id']} and is {'another one now' if kept else 'gone'}",
            expected="the message, in its place",
            actual="other content" if kept else "deleted" if found else "an empty slot" if stored else "nothing",
            next_step="Look at the lag and the dead letters of OpenIM's queue to its database (T16); replay what it lost from a backup.",
            evidence={"sent at": f"{row['sent_at']:%Y-%m-%d %H:%M:%S} UTC", "journal": str(row["journal"])},
        )

    return Reconcile(
        subject=Rows("verifier.canary_messages"),
        against=Rows("openim_mongo.msg" if stored else "openim.canary_messages"),
        on=("place", "place"),
        judge=judge,
        clocks=(),
        unit="old canary messages",
        statement="found in OpenIM's database" if stored else "pulled for the canary",
        unseen=() if stored else ("whether OpenIM's database or a cache answered the pull",),
    )


@check(
    "MSG-06",
    title="The imported history is the legacy one",
    severity=Severity.CRITICAL,
    phase=Phase.CUTOVER,
    row=ROW,
)
def imported_whole(profile: Profile) -> Histories:
    """An import that skipped a page, or ran twice, leaves conversations that look right until somebody scrolls. OpenIM has no
    idempotency key; a conversation is compared message for message: sender, time, text."""
    _imported(profile)
    require_openim_mongo(profile)
    profile.relation("messages", "conversation_id", "sender_id", "created_at", "content")
    profile.relation("scope", "conversation_id", "openim_id", "since")
    path = profile.imports.text

    def legacy(row: Row) -> Mark | None:
        text = _text_at(row["content"], path)
        if text is None or row["created_at"] is None or row["sender_id"] is None:
            return None
        sender = profile.identity.to_openim(row["sender_id"])
        return sender, _ms(row["created_at"]), digest(text)

    def openim(row: Row) -> Mark | None:
        if row["content_type"] != TEXT or not row["is_text"]:
            return None
        return row["sender_id"], _ms(row["sent_at"]), row["digest"]

    days, _ = profile.retention_days
    return Histories(
        legacy=legacy,
        openim=openim,
        not_before=datetime.now(UTC) - timedelta(days=max(days - 1, 0)) if days else None,
        sample=profile.imports.sample,
        unseen=(
            "messages that are no texts",
            "messages that OpenIM no longer retains (MSG-07)",
            "a lost message where as many were deleted for everybody",
        ),
    )


@check(
    "MSG-07",
    title="Nothing is imported that OpenIM deletes the night after",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def outlives_retention(profile: Profile) -> Retention:
    """OpenIM's nightly run deletes messages by their send time, not by the time of import: history that is imported beyond the
    limit is gone at two in the morning."""
    _imported(profile)
    profile.relation("messages", "conversation_id", "created_at")
    days, told = profile.retention_days
    if not days:
        raise NotApplicable(f"retention is off: {told}")
    return Retention(
        days=days,
        told=told,
        next_step="Raise retainChatRecords (openim-crontask.yml), or switch it off, before the next nightly run (02:00 by default); or leave these messages out of the import.",
    )


@check(
    "MSG-08",
    title="No message stands twice in a conversation",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def no_duplicates(profile: Profile) -> Unique:
    """A retried request is a second message: OpenIM makes the id itself. Two that share sender, millisecond and content in one
    conversation are one that was sent once."""
    require_openim_mongo(profile)
    marker = profile.imports.message_marker

    def value(row: Row) -> str | None:
        if row["content_type"] >= NOTIFICATIONS or row["status"] == DELETED:
            return None
        mark = _marked(row["ex"], marker)
        told = (row["conversation_id"], row["sender_id"], _ms(row["sent_at"]), row["content_type"], row["digest"], mark)
        return json.dumps(told)

    def judge(rows: Sequence[Row]) -> Problem:
        first = min(rows, key=lambda row: int(row["seq"]))
        others = ", ".join(str(row["seq"]) for row in rows[:4])
        return Problem(
            key=str(first["place"]),
            summary=f"a message stands {len(rows)} times in conversation {first['conversation_id']}: seqs {others}",
            expected="once",
            actual=f"{len(rows)} messages of one sender, one millisecond, one content",
            next_step="Delete all but the first (msg/delete_msg_phsical_by_seq); let whoever sends ask before it repeats.",
        )

    return Unique(
        subject=Rows("openim_mongo.msg"),
        value=value,
        judge=judge,
        unit="messages",
        statement="sender, time, content" + (f", {marker} of ex" if marker else ""),
        unseen=("a repeated message that was given a new send time",),
    )


@check(
    "GRP-06",
    title="One legacy group, one OpenIM group",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row="Group list / members",
)
def one_group_each(profile: Profile) -> list[Unique]:
    """A move that is repeated after a time-out makes a second group, and half of the members write in each. Groups may share a name;
    only the legacy id that the move left in `ex` tells them apart."""
    proofs = []
    marker = profile.imports.group_marker
    if marker is not None:
        proofs.append(_twice_in_openim(profile, marker))
    if profile.has("scope", "group_id", "openim_group_id"):
        proofs.append(_two_into_one())
    if not proofs:
        raise NotApplicable("nothing declared: imports.group_marker is not set, and relation scope names no groups")
    return proofs


def _twice_in_openim(profile: Profile, marker: str) -> Unique:
    stored = profile.roles.openim_mongo is not None

    def judge(rows: Sequence[Row]) -> Problem:
        legacy = _marked(rows[0]["ex"], marker)
        names = ", ".join(sorted(str(row["group_id"]) for row in rows)[:4])
        return Problem(
            key=names,
            summary=f"legacy group {legacy} became {len(rows)} groups in OpenIM: {names}",
            expected="one",
            actual=str(len(rows)),
            next_step="Dismiss the one that the platform does not refer to; create groups with an id of your own, so that a repetition is refused.",
        )

    return Unique(
        subject=Rows("openim_mongo.group" if stored else "openim.groups"),
        value=lambda row: None if row["status"] == 2 else _marked(row["ex"], marker) or None,
        judge=judge,
        unit="groups in OpenIM that came from a legacy one",
        unseen=() if stored else ("groups that OpenIM's unordered paging skipped",),
    )


def _two_into_one() -> Unique:
    def judge(rows: Sequence[Row]) -> Problem | None:
        legacy = sorted({str(row["group_id"]) for row in rows})
        if len(legacy) < 2:
            return None
        return Problem(
            key=str(rows[0]["openim_group_id"]),
            summary=f"{len(legacy)} legacy groups became OpenIM group {rows[0]['openim_group_id']}",
            expected="one",
            actual=", ".join(legacy[:4]),
            next_step="Correct the mapping; give the second one a group of its own.",
        )

    return Unique(
        subject=Rows("scope", ("group_id", "openim_group_id")),
        value=lambda row: str(row["openim_group_id"]) if row["openim_group_id"] and row["group_id"] else None,
        judge=judge,
        unit="moved groups",
    )


def _imported(profile: Profile) -> None:
    if profile.policies.history_import != "imported":
        raise NotApplicable("policy: history_import = 'none'")


def _marked(ex: Any, name: str | None) -> str:
    """The marker in an `ex`, "" where there is none: anybody may write anything there."""
    if name is None:
        return ""
    try:
        found = json.loads(ex)[name]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else json.dumps(found)


def _text_at(content: Any, path: str) -> str | None:
    for name in path.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, str) else None


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
