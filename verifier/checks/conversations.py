"""Row "Conversation list / seq" [D2]: the legacy tables do not change, and flags have one home."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Absence, Reconcile

ROW = "Conversation list / seq"
NEXT_STEP = "Find the code path that still updates the legacy conversation of a moved chat."


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
    title="No legacy conversation of a moved chat is created or removed",
    severity=Severity.CRITICAL,
    phase=Phase.FROZEN,
    row=ROW,
)
def no_new_conversations(profile: Profile) -> list[Absence]:
    """Clients read the conversation list from OpenIM. A new row in the legacy table is shown by no client and is outdated at once. A row that is
    removed is a write of the old code as well."""
    return [
        Absence(
            target=name,
            operations=frozenset({"insert", "delete"}),
            scoped_by=("conversation", "conversation_id"),
            inserted_at=_time(profile, name, "created_at"),
            updated_at=_moved_at(profile, name),
            noun=f"row of {name}",
            next_step=NEXT_STEP,
            statement=name,
        )
        for name in _mapped(profile, ("conversations", "conversation_sequences"), "conversation_id")
    ]


@check(
    "CNV-02",
    title="The legacy order of moved conversations does not change",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def ordering_stands_still(profile: Profile) -> list[Absence]:
    """OpenIM decides the order of moved conversations and messages. A service that still updates last_message_at or seq creates a second,
    contradictory order. So does one that removes rows."""
    return [
        Absence(
            target=name,
            operations=frozenset({"update", "delete", "truncate"}),
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
    title="Flags refer to a conversation that the user has in OpenIM",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def flags_refer(profile: Profile) -> Reconcile:
    """A user cannot unpin a conversation that does not exist. OpenIM lists a single chat only from its first message on
    [F56], so flags of a moved single chat without new messages are accepted."""
    moves = profile.has("scope", "openim_id")

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        chat, owner = str(row["openim_conversation_id"]), profile.identity.to_openim(row["user_id"])
        if any(item.get("conversation_id") == chat for item in partners):
            return None
        if any(item.get("openim_id") == chat for item in partners) and _is_of(chat, str(owner)):
            return None
        return Problem(
            summary=f"user {row['user_id']} has flags on conversation {row['openim_conversation_id']}, which OpenIM does not list for this user",
            expected="a conversation of this user in OpenIM",
            actual=f"{len(partners)} other conversations" if partners else "no conversations",
            next_step="Delete the flags together with the conversation, and store OpenIM's conversation id, not the legacy one.",
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
    """Whether a single chat is this user's, by its id: `si_` and both user ids [F54]."""
    return chat.startswith(f"si_{owner}_") or (chat.startswith("si_") and chat.endswith(f"_{owner}"))


@check(
    "CNV-04",
    title="Legacy read positions and mentions of moved chats do not change",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def message_state_frozen(profile: Profile) -> list[Absence]:
    """OpenIM stores read positions together with the messages. A second copy soon differs, and users see wrong unread counts."""
    if profile.policies.message_reads == "kept":
        raise NotApplicable("policy: message_reads = 'kept'")
    times = {"message_reads": (None, "read_at"), "mentions": ("created_at", None)}
    proofs = []
    for name in _mapped(profile, tuple(times), "conversation_id"):
        inserted, updated = times[name]
        proofs.append(
            Absence(
                target=name,
                operations=frozenset({"insert", "update", "delete", "truncate"}),
                scoped_by=("conversation", "conversation_id"),
                inserted_at=_time(profile, name, inserted) if inserted else None,
                updated_at=_time(profile, name, updated) if updated else None,
                noun=f"row of {name}",
                next_step="Stop the writer: OpenIM stores the read positions of moved conversations.",
                statement=name,
            )
        )
    return proofs


@check(
    "CNV-05",
    title="The pinned flag is stored in one place only",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def flags_have_one_home(profile: Profile) -> Reconcile:
    """If both sides store the flag, it can be set on one side and cleared on the other, and clients show either value."""
    ours = profile.policies.conversation_flags == "ours"

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        theirs = any(item["conversation_id"] == row["openim_conversation_id"] and item["pinned"] for item in partners)
        if not theirs or not (ours or row["pinned"]):
            return None
        home = "the platform's flags" if ours else "OpenIM"
        return Problem(
            summary=f"conversation {row['openim_conversation_id']} of user {row['user_id']} is pinned in OpenIM and also has flags on the platform",
            expected=f"the flag in one place: {home}",
            actual="in both places",
            next_step=f"Store the flag only in {home}, and clear the other.",
        )

    return Reconcile(
        subject=Rows("flags", ("user_id", "openim_conversation_id", "pinned")),
        against=Rows("openim.conversations"),
        on=("user_id", "owner_id"),
        convert=profile.identity.to_openim,
        judge=judge,
        unit="flag rows",
        unseen=("conversations with flags in OpenIM only",),
    )
