"""Row "Chat messages" [D1]: the platform's MongoDB gains and changes no messages, and OpenIM delivers each one once."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from verifier.checks.registry import check
from verifier.judges.canary import judge_canary_delivery, judge_canary_order
from verifier.model.invariant import Phase, Problem, Severity
from verifier.profile.models import Profile
from verifier.proofs import Absence, Delivery, Inventory
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

ROW = "Chat messages"
CHAT_WORDS = ("message", "conversation", "chat", "sender", "content", "seq")


@check(
    "MSG-01",
    title="No new message of a moved conversation is stored in the platform's MongoDB",
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
    "MSG-03", title="There is no undeclared collection of messages", severity=Severity.HIGH, phase=Phase.FROZEN, row=ROW
)
def no_other_collection(profile: Profile) -> Inventory:
    """Messages that are written to a collection such as `messages_2026_11`, or to another database, are still stored by the platform. A collection that
    is older than the baseline is reported only if it grows."""
    relation = profile.relation("messages")
    role = profile.roles.chat_mongo
    database = role.database if role else ""
    declared = [f"{database}.{item.collection}" for item in profile.places if item.collection]
    declared += list(profile.inventory.collections)
    shape = {column.column.partition(".")[0] for column in relation.columns.values()} - {"_id"}

    def chat_shaped(item: StoreObject) -> bool:
        fields = {str(name).partition(".")[0] for name in item.attributes.get("fields", ())}
        if len(fields & shape) * 2 > len(shape):
            return True
        worded = sum(any(word in name.lower() for name in fields) for word in CHAT_WORDS)
        base = (relation.collection or "").lower()
        return worded >= 3 or bool(base and base in item.name.partition(".")[2].lower())

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
                summary=f"collection {item.name} looks like a collection of messages and is not declared",
                expected="messages in the declared collections only",
                actual=f"{item.attributes.get('count', '?')} documents with {', '.join(list(item.attributes.get('fields', ()))[:8]) or 'no fields seen'}",
                next_step="Declare it under inventory.collections, or stop its writer.",
            )
            for item in objects
            if not any(fnmatchcase(item.name, pattern) for pattern in declared) and grew(item) and chat_shaped(item)
        ]

    return Inventory(
        role=relation.role,
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
