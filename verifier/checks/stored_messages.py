"""Row "Chat messages" [D1], as OpenIM stores them: they last, imported history is complete, and nothing is stored twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from verifier.checks.registry import NotApplicable, check
from verifier.checks.seqs import require_openim_mongo
from verifier.judges.recorder import digest
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Histories, Reconcile, Retention, Unique
from verifier.proofs.histories import MessageKey

ROW = "Chat messages"
DELETED = 4
TEXT, NOTIFICATIONS = 101, 1000
"""OpenIM's content types: text, and the first of its notifications."""


@check(
    "MSG-05",
    title="Canary messages are still stored when OpenIM's cache has expired",
    severity=Severity.CRITICAL,
    phase=Phase.CUTOVER,
    row=ROW,
)
def durable(profile: Profile) -> Reconcile:
    """OpenIM answers from its cache for a day [F63]. A message that its queue lost on the way to the database is acknowledged, pushed
    and readable for 24 hours, and then it is gone [F65]. Therefore the messages of older canary runs are looked for again: in
    OpenIM's database or, without access to it, by a pull for the canary."""
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
            summary=f"canary message {row['marker']} was read at seq {row['seq']} of {row['conversation_id']} and is now {'another message' if kept else 'gone'}",
            expected="the message at its seq",
            actual="other content" if kept else "deleted" if found else "an empty slot" if stored else "nothing",
            next_step="Check the lag and the errors of OpenIM's queue to its database, and restore the lost messages from a backup.",
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
    title="The imported history equals the legacy history",
    severity=Severity.CRITICAL,
    phase=Phase.CUTOVER,
    row=ROW,
)
def imported_whole(profile: Profile) -> Histories:
    """An import that skipped a page or ran twice leaves conversations that look right until a user scrolls back. OpenIM has no
    idempotency key [F60], so the messages of a conversation are compared one by one: sender, time and text."""
    _imported(profile)
    require_openim_mongo(profile)
    profile.relation("messages", "conversation_id", "sender_id", "created_at", "content")
    profile.relation("scope", "conversation_id", "openim_id", "since")
    path = profile.imports.text
    # Only the platform's table of users maps such ids, and the senders of a message are not looked up there.
    any_sender = profile.identity.kind == "column"

    def legacy(row: Row) -> MessageKey | None:
        text = _text_at(row["content"], path)
        if text is None or row["created_at"] is None or row["sender_id"] is None:
            return None
        sender = "" if any_sender else profile.identity.to_openim(row["sender_id"])
        return sender, _ms(row["created_at"]), digest(text)

    def openim(row: Row) -> MessageKey | None:
        if row["content_type"] != TEXT or not row["is_text"]:
            return None
        return "" if any_sender else row["sender_id"], _ms(row["sent_at"]), row["digest"]

    days, _ = profile.retention_days
    return Histories(
        legacy=legacy,
        openim=openim,
        not_before=datetime.now(UTC) - timedelta(days=max(days - 1, 0)) if days else None,
        sample=profile.imports.sample,
        unseen=(
            "messages other than texts",
            "messages beyond OpenIM's retention (MSG-07)",
            "a lost message in a conversation where as many were deleted for everybody",
            *(("who sent a message: identity.kind = 'column'",) if any_sender else ()),
        ),
    )


@check(
    "MSG-07",
    title="No imported message is older than OpenIM's retention",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def outlives_retention(profile: Profile) -> list[Retention]:
    """OpenIM's nightly job deletes messages by their send time, not by the time of their import [F127]. Imported history beyond the
    limit is gone the next night. It is looked for before the import, in the legacy messages, and after it, in OpenIM's own."""
    _imported(profile)
    days, source = profile.retention_days
    if not days:
        raise NotApplicable(f"retention is off: {source}")
    proofs = []
    stored = profile.roles.openim_mongo is not None and profile.phase.reached(Phase.CUTOVER)
    if profile.has("messages", "conversation_id", "created_at") or not stored:
        profile.relation("messages", "conversation_id", "created_at")
        proofs.append(
            Retention(
                days=days,
                source=source,
                next_step="Before the next nightly job (by default at 02:00), raise retainChatRecords in openim-crontask.yml or switch it off. Otherwise leave these messages out of the import.",
                unseen=() if stored else ("messages in OpenIM that are older than its retention",),
            )
        )
    if stored:
        proofs.append(
            Retention(
                days=days,
                source=source,
                side="openim",
                next_step="Before the next nightly job (by default at 02:00), raise retainChatRecords in openim-crontask.yml or switch it off. If these messages have been there for days, the job does not run, or imports.retention_days is not its setting.",
                unseen=("imported messages that the job has deleted already (MSG-06)",),
            )
        )
    return proofs


@check(
    "MSG-08",
    title="No message is stored twice in a conversation",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def no_duplicates(profile: Profile) -> Unique:
    """A repeated request creates a second message, because OpenIM generates the message id itself [F60]. Two messages of one
    conversation with the same sender, millisecond and content were sent once."""
    require_openim_mongo(profile)
    marker = profile.imports.message_marker

    def value(row: Row) -> str | None:
        if row["content_type"] >= NOTIFICATIONS or row["status"] == DELETED:
            return None
        mark = marker_in(row["ex"], marker)
        identity = (
            row["conversation_id"],
            row["sender_id"],
            _ms(row["sent_at"]),
            row["content_type"],
            row["digest"],
            mark,
        )
        return json.dumps(identity)

    def judge(rows: Sequence[Row]) -> Problem:
        first = min(rows, key=lambda row: int(row["seq"]))
        others = ", ".join(str(row["seq"]) for row in rows[:4])
        return Problem(
            key=str(first["place"]),
            summary=f"a message is stored {len(rows)} times in conversation {first['conversation_id']}: seqs {others}",
            expected="once",
            actual=f"{len(rows)} messages with the same sender, millisecond and content",
            next_step="Delete all but the first (msg/delete_msg_phsical_by_seq). Let the sender check whether a message was stored before it retries.",
        )

    return Unique(
        subject=Rows("openim_mongo.msg"),
        value=value,
        judge=judge,
        unit="messages",
        statement="sender, time, content" + (f", {marker} of ex" if marker else ""),
        unseen=("a repeated message with a new send time",),
    )


def _imported(profile: Profile) -> None:
    if profile.policies.history_import != "imported":
        raise NotApplicable("policy: history_import = 'none'")


def marker_in(ex: Any, name: str | None) -> str:
    """The value of `name` in an `ex` field, "" if there is none. `ex` may contain anything, so it need not be JSON."""
    if name is None:
        return ""
    try:
        found = json.loads(ex)[name]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else json.dumps(found)


def _text_at(content: Any, path: str) -> str | None:
    """The text of a legacy message: at a path within its document, which may be stored as JSON text, or a plain text itself."""
    if isinstance(content, str):
        try:
            document = json.loads(content)
        except ValueError:
            return content
        if not isinstance(document, dict):
            return content
        content = document
    for name in path.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, str) else None


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
