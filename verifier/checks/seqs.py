"""Row "Conversation list / seq", as OpenIM keeps it after the move: seqs only rise, and messages stand where they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Monotonic, Reconcile, Rule, Unique

if TYPE_CHECKING:
    from verifier.proofs import Proof

ROW = "Conversation list / seq"
SEQ, BLOCK = Rows("openim_mongo.seq"), Rows("openim_mongo.msg_block")
SINGLE, SINGLE_AHEAD, AHEAD = "si_", 50, 100
"""How many seqs OpenIM reserves ahead: what a Redis restart may leave unused (T15)."""
SLOTS = 100


def require_openim_mongo(profile: Profile) -> None:
    """Raises NotApplicable without the role: OpenIM's REST API tells seqs and messages only by filling its caches."""
    if profile.roles.openim_mongo is None:
        raise NotApplicable(
            "not granted: role openim_mongo is not described, and OpenIM's REST API tells this of canaries alone"
        )


@check(
    "SEQ-01",
    title="Seqs never fall, and none is stored above the highest",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def seqs_rise(profile: Profile) -> list[Proof]:
    """Clients sync by seq. One that falls is given out a second time: a new message overwrites an old one's place, and a client
    that has seen the number never asks for it. A Redis restart may only raise it."""
    require_openim_mongo(profile)
    next_step = (
        "Stop sending to it; set max_seq of its document in `seq` to the highest stored seq or above, and drop MALLOC_SEQ of it in "
        "OpenIM's Redis. A restored backup is the usual cause."
    )

    def fell(name: str, before: int, now: int | None) -> Problem:
        return Problem(
            key=name,
            summary=f"max_seq of conversation {name} fell",
            expected=f"{before} or more",
            actual="its document is gone" if now is None else str(now),
            next_step=next_step,
        )

    def bounded(row: Row) -> Problem | None:
        low, high = row["min_seq"] or 0, row["max_seq"] or 0
        if low <= high + 1:
            return None
        return Problem(
            key=str(row["conversation_id"]),
            summary=f"min_seq of conversation {row['conversation_id']} lies above max_seq: nothing in it can be read",
            expected=f"at most {high + 1}",
            actual=str(low),
            next_step="Find out who set min_seq (retention, clear_conversation_msg), and set it back.",
        )

    def below(row: Row, partners: Sequence[Row]) -> Problem | None:
        high = max((item["max_seq"] or 0 for item in partners), default=0)
        if row["highest"] <= high:
            return None
        return Problem(
            key=str(row["doc_id"]),
            summary=f"a message of conversation {row['conversation_id']} is stored above max_seq",
            expected=f"seqs up to {high}" if partners else "a document in `seq`",
            actual=f"seq {row['highest']}",
            next_step=next_step,
        )

    return [
        Monotonic(
            subject=SEQ,
            name="conversation_id",
            value="max_seq",
            judge=fell,
            unit="conversations' seqs",
            unseen=("a fall that was made good between two runs",),
        ),
        Rule(subject=SEQ, judge=bounded, unit="conversations' seqs"),
        Reconcile(
            subject=BLOCK,
            against=SEQ,
            on=("conversation_id", "conversation_id"),
            judge=below,
            unit="blocks of messages",
        ),
    ]


@check(
    "SEQ-02",
    title="One document of seqs for each conversation",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def one_seq_document(profile: Profile) -> Unique:
    """OpenIM's index on it is not unique. With two documents it depends on chance which of them gives the next seq."""
    require_openim_mongo(profile)

    def judge(rows: Sequence[Row]) -> Problem:
        name = str(rows[0]["conversation_id"])
        return Problem(
            key=name,
            summary=f"conversation {name} has {len(rows)} documents in `seq`",
            expected="one",
            actual=f"max_seq {', '.join(sorted(str(row['max_seq']) for row in rows)[:4])}",
            next_step="Keep the one with the highest max_seq, delete the others, and drop MALLOC_SEQ of it in OpenIM's Redis.",
        )

    return Unique(subject=SEQ, value=lambda row: str(row["conversation_id"]), judge=judge, unit="documents of seqs")


@check(
    "SEQ-03",
    title="Nobody has read further than the conversation goes",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def read_within(profile: Profile) -> Reconcile:
    """Who has read seq 500 of a conversation that ends at 100 sees its next 400 messages as read. Judged against the end of the
    block that is reserved: the highest seq itself stands in OpenIM's Redis."""
    require_openim_mongo(profile)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        high = max((item["max_seq"] or 0 for item in partners), default=0)
        if row["read_seq"] <= high:
            return None
        return Problem(
            key=f"{row['user_id']} in {row['conversation_id']}",
            summary=f"user {row['user_id']} has read further than conversation {row['conversation_id']} goes",
            expected=f"at most {high}",
            actual=str(row["read_seq"]),
            next_step="Set read_seq back (msg/set_conversation_has_read_seq), and look whether max_seq fell (SEQ-01).",
        )

    return Reconcile(
        subject=Rows("openim_mongo.seq_user", (), (Where("read_seq", ">", 0),)),
        against=SEQ,
        on=("conversation_id", "conversation_id"),
        judge=judge,
        unit="read positions",
        unseen=("read positions within the block of seqs that is reserved and not used",),
    )


@check(
    "SEQ-04",
    title="No hole in the seqs that nothing explains",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def no_unexplained_hole(profile: Profile) -> Reconcile:
    """Holes are normal: a Redis restart leaves up to 50 reserved seqs unused, in a group 100, and what is deleted for everybody leaves
    an empty slot that nobody can tell from a seq never given. So only a whole missing document of a hundred seqs, above min_seq,
    is reported: no deletion and no restart leaves that. Smaller holes cannot be judged read-only."""
    require_openim_mongo(profile)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if row["number"] == 0 or any("doc_id" in item for item in partners):
            return None
        first = (row["number"] - 1) * SLOTS + 1
        until = first + SLOTS - 1
        if until < max((item["min_seq"] or 0 for item in partners if "min_seq" in item), default=0):
            return None
        if row["lowest"] - first <= (SINGLE_AHEAD if str(row["conversation_id"]).startswith(SINGLE) else AHEAD):
            return None
        return Problem(
            key=str(row["doc_id"]),
            summary=f"conversation {row['conversation_id']} lacks its messages {first} to {until}",
            expected=f"document {row['before']}, or a min_seq above",
            actual=f"no such document; the next stored seq is {row['lowest']}",
            next_step="Compare with a backup of `msg`: the document was deleted, or the messages were acknowledged and never stored.",
        )

    return Reconcile(
        subject=BLOCK,
        against=Rows("openim_mongo.msg_document"),
        on=("before", "doc_id"),
        also=(("conversation_id", SEQ, "conversation_id"),),
        judge=judge,
        unit="blocks of messages",
        unseen=(
            "holes that a deletion or a restart of Redis may have left",
            "seqs missing at the end of a conversation",
        ),
    )
