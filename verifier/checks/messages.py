"""Row "Chat messages" [D1]: the platform's store gains and changes no messages, and OpenIM delivers each one once."""

from __future__ import annotations

from verifier.checks.other_homes import undeclared
from verifier.checks.registry import check
from verifier.judges.canary import judge_canary_delivery, judge_canary_order
from verifier.model.invariant import Phase, Severity
from verifier.profile.models import Profile
from verifier.proofs import Absence, Delivery, Inventory

ROW = "Chat messages"


@check(
    "MSG-01",
    title="No new message of a moved conversation is stored by the platform",
    severity=Severity.CRITICAL,
    phase=Phase.CUTOVER,
    row=ROW,
)
def no_new_messages(profile: Profile) -> Absence:
    """A message in both stores has two sources of truth. A message that only the platform stores is never seen by users of OpenIM."""
    profile.relation("messages", "conversation_id")
    return Absence(
        target="messages",
        operations=frozenset({"insert"}),
        scoped_by=("conversation", "conversation_id"),
        inserted_at="created_at" if profile.has("messages", "created_at") else None,
        noun="message",
        next_step="Find the code path that still stores messages of moved conversations, and import or delete what it wrote.",
    )


@check(
    "MSG-02",
    title="Legacy messages are neither changed nor deleted",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def frozen_messages(profile: Profile) -> Absence:
    """The legacy history is an archive. A change comes from a declared job, or from a service that still works on the old store."""
    profile.relation("messages", "conversation_id")
    return Absence(
        target="messages",
        operations=frozenset({"update", "replace", "delete", "drop", "rename", "truncate"}),
        scoped_by=("conversation", "conversation_id"),
        noun="message",
        next_step="Stop the job that does this, or declare it.",
    )


@check(
    "MSG-03",
    title="There is no undeclared collection or table of messages",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def no_other_collection(profile: Profile) -> list[Inventory]:
    """Messages that are written to a collection such as `messages_2026_11`, or to another database, are still stored by the platform.
    What is older than the baseline is reported only if it grows."""
    return undeclared(profile, "messages")


@check(
    "MSG-04",
    title="Every acknowledged canary message is in OpenIM once, in order, unchanged",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def delivered_once(profile: Profile) -> list[Delivery]:
    """OpenIM acknowledges a message when it is queued, not when it is stored [F66], and it does not detect duplicates [F69]. Each
    acknowledged message must be read back once, at one seq, in its sender's order and with its text. A send without an answer
    proves nothing."""
    return [
        Delivery(judge=judge_canary_delivery, statement="canary messages"),
        Delivery(judge=judge_canary_order),
    ]
