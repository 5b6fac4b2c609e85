"""Row "Conversation list / seq": OpenIM keeps them; ours stand still, and flags have one home."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Absence, Reconcile

ROW = "Conversation list / seq"
NEXT_STEP = "Find the code path that still maintains the legacy conversation of a moved chat."


def _mapped(profile: Profile, names: Sequence[str], column: str) -> list[str]:
    found = [name for name in names if profile.has(name, column)]
    if not found:
        profile.relation(names[0], column)
    return found


def _time(profile: Profile, relation: str, column: str) -> str | None:
    return column if profile.has(relation, column) else None


def _moved_at(profile: Profile, relation: str) -> str | None:
    return _time(profile, relation, "last_message_at") or _time(profile, relation, "updated_at")


@check(
    "CNV-01",
    title="No new legacy conversations for OpenIM chats",
    severity=Severity.CRITICAL,
    phase=Phase.FROZEN,
    row=ROW,
)
def no_new_conversations(profile: Profile) -> list[Absence]:
    """The conversation list comes from OpenIM; a new row in ours shows up in no client and goes stale at once."""
    return [
        Absence(
            target=name,
            operations=frozenset({"insert"}),
            scoped_by=("conversation", "conversation_id"),
            inserted_at=_time(profile, name, "created_at"),
            updated_at=_moved_at(profile, name),
            noun=f"row of {name}",
            next_step=NEXT_STEP,
            statement=name,
        )
        for name in _mapped(profile, ("conversations", "conversation_sequences"), "conversation_id")
    ]


@check("CNV-02", title="Nothing moves the legacy ordering", severity=Severity.HIGH, phase=Phase.FROZEN, row=ROW)
def ordering_stands_still(profile: Profile) -> list[Absence]:
    """last_message_at and seq of a moved chat are OpenIM's; a writer of ours is a second source of order."""
    return [
        Absence(
            target=name,
            operations=frozenset({"update"}),
            scoped_by=("conversation", "conversation_id"),
            inserted_at=_time(profile, name, "created_at"),
            updated_at=_moved_at(profile, name),
            noun=f"row of {name}",
            next_step=NEXT_STEP,
            statement=name,
            thin_layer=bool(profile.policies.conversations_layer) and name == "conversations",
        )
        for name in _mapped(profile, ("conversations", "conversation_sequences"), "conversation_id")
    ]


@check(
    "CNV-03",
    title="Flags refer to a conversation that their owner has in OpenIM",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def flags_refer(profile: Profile) -> Reconcile:
    """A pinned conversation that does not exist is a row that nobody can ever unpin. OpenIM lists a chat of two from its first message
    on; flags that moved with one in which nothing was said since wait for that."""
    moves = profile.has("scope", "openim_id")

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        chat, owner = str(row["openim_conversation_id"]), profile.identity.to_openim(row["user_id"])
        if any(item.get("conversation_id") == chat for item in partners):
            return None
        if any(item.get("openim_id") == chat for item in partners) and _is_of(chat, str(owner)):
            return None
        return Problem(
            summary=f"user {row['user_id']} has flags on {row['openim_conversation_id']}, which OpenIM does not list for that user",
            expected="a conversation of that owner in OpenIM",
            actual=f"{len(partners)} other conversations" if partners else "no conversation at all",
            next_step="Remove the flags when a conversation goes, and write the OpenIM id of the conversation, not ours.",
        )

    return Reconcile(
        subject=Rows("flags", ("user_id", "openim_conversation_id")),
        against=Rows("openim.conversation_ids"),
        on=("user_id", "owner_id"),
        also=(("openim_conversation_id", Rows("scope", ("openim_id",)), "openim_id"),) if moves else (),
        convert=profile.identity.to_openim,
        judge=judge,
        unit="flag rows",
    )


def _is_of(chat: str, owner: str) -> bool:
    """Whether a chat of two is this user's, by its name: `si_`, and both ids."""
    return chat.startswith(f"si_{owner}_") or (chat.startswith("si_") and chat.endswith(f"_{owner}"))


@check(
    "CNV-04",
    title="Read positions and mentions of OpenIM chats stay still",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def message_state_frozen(profile: Profile) -> list[Absence]:
    """Read state belongs to the messages; kept in two places it disagrees within the hour."""
    if profile.policies.message_reads == "kept":
        raise NotApplicable("policy: message_reads = 'kept'")
    times = {"message_reads": (None, "read_at"), "mentions": ("created_at", None)}
    proofs = []
    for name in _mapped(profile, tuple(times), "conversation_id"):
        inserted, updated = times[name]
        proofs.append(
            Absence(
                target=name,
                operations=frozenset({"insert", "update"}),
                scoped_by=("conversation", "conversation_id"),
                inserted_at=_time(profile, name, inserted) if inserted else None,
                updated_at=_time(profile, name, updated) if updated else None,
                noun=f"row of {name}",
                next_step="Stop the writer: OpenIM keeps the read position of moved conversations.",
                statement=name,
            )
        )
    return proofs


@check("CNV-05", title="Pinned has one home", severity=Severity.MEDIUM, phase=Phase.CUTOVER, row=ROW)
def flags_have_one_home(profile: Profile) -> Reconcile:
    """A flag that both sides keep is set in one and cleared in the other, and the client shows a coin toss."""
    ours = profile.policies.conversation_flags == "ours"

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        theirs = any(item["conversation_id"] == row["openim_conversation_id"] and item["pinned"] for item in partners)
        if not theirs or not (ours or row["pinned"]):
            return None
        home = "ours" if ours else "OpenIM's"
        return Problem(
            summary=f"{row['openim_conversation_id']} of user {row['user_id']} is pinned in OpenIM and kept in our flags",
            expected=f"one home: {home}",
            actual="both written",
            next_step=f"Write the flag in {home} table alone, and clear the other.",
        )

    return Reconcile(
        subject=Rows("flags", ("user_id", "openim_conversation_id", "pinned")),
        against=Rows("openim.conversations"),
        on=("user_id", "owner_id"),
        convert=profile.identity.to_openim,
        judge=judge,
        unit="flag rows",
        unseen=("conversations that only OpenIM flags",),
    )
