"""Row "Conversation list / seq" [D2], as OpenIM stores it: sequence numbers never fall and fit the stored messages."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Monotonic, Proof, Reconcile, Rule, Unique

ROW = "Conversation list / seq"
SEQ, BLOCK = Rows("openim_mongo.seq"), Rows("openim_mongo.msg_block")
SINGLE, SINGLE_AHEAD, AHEAD = "si_", 50, 100
"""How many seqs OpenIM reserves ahead. A restart of Redis may leave them unused [F76]."""
SLOTS = 100


def require_openim_mongo(profile: Profile) -> None:
    """Raise NotApplicable without the role. OpenIM's REST API reads seqs and messages only by filling its caches [F92]."""
    if profile.roles.openim_mongo is None:
        raise NotApplicable(
            "not granted: the profile has no role openim_mongo, and OpenIM's REST API may be asked for canaries only"
        )


@check(
    "SEQ-01",
    title="Sequence numbers never fall, and no message is stored above the highest",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def seqs_rise(profile: Profile) -> list[Proof]:
    """Clients synchronise by sequence number (seq). If the highest seq falls, numbers are used a second time: a new message
    replaces an old one, and clients that have seen the number never fetch it. A restart of Redis may only raise it [F76]."""
    require_openim_mongo(profile)
    next_step = (
        "Stop sending to the conversation. Set max_seq of its document in `seq` to the highest stored seq or above, and delete its "
        "MALLOC_SEQ key in OpenIM's Redis. A restored backup is the usual cause."
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
            summary=f"min_seq of conversation {row['conversation_id']} is above max_seq, so no message in it can be read",
            expected=f"at most {high + 1}",
            actual=str(low),
            next_step="Find out what set min_seq (retention, clear_conversation_msg), and correct it.",
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
            unseen=("a fall that was corrected between two runs",),
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
    title="Each conversation has one document of sequence numbers",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def one_seq_document(profile: Profile) -> Unique:
    """OpenIM's index on the conversation id is not unique [F76]. With two documents, either of them may give the next seq."""
    require_openim_mongo(profile)

    def judge(rows: Sequence[Row]) -> Problem:
        name = str(rows[0]["conversation_id"])
        return Problem(
            key=name,
            summary=f"conversation {name} has {len(rows)} documents in `seq`",
            expected="one document",
            actual=f"max_seq {', '.join(sorted(str(row['max_seq']) for row in rows)[:4])}",
            next_step="Keep the document with the highest max_seq, delete the others, and delete the conversation's MALLOC_SEQ key in OpenIM's Redis.",
        )

    return Unique(subject=SEQ, value=lambda row: str(row["conversation_id"]), judge=judge, unit="documents of seqs")


@check(
    "SEQ-03",
    title="No read position is beyond the end of its conversation",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def read_within(profile: Profile) -> Reconcile:
    """If a user's read position is 500 in a conversation that ends at 100, the next 400 messages appear as read. The position is
    compared with the end of the reserved block, because the real highest seq is only in OpenIM's Redis [F76]."""
    require_openim_mongo(profile)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        high = max((item["max_seq"] or 0 for item in partners), default=0)
        if row["read_seq"] <= high:
            return None
        return Problem(
            key=f"{row['user_id']} in {row['conversation_id']}",
            summary=f"the read position of user {row['user_id']} is beyond the end of conversation {row['conversation_id']}",
            expected=f"at most {high}",
            actual=str(row["read_seq"]),
            next_step="Correct read_seq (msg/set_conversation_has_read_seq), and check whether max_seq fell (SEQ-01).",
        )

    return Reconcile(
        subject=Rows("openim_mongo.seq_user", (), (Where("read_seq", ">", 0),)),
        against=SEQ,
        on=("conversation_id", "conversation_id"),
        judge=judge,
        unit="read positions",
        unseen=("read positions within a reserved block of seqs that is not used yet",),
    )


@check(
    "SEQ-04",
    title="There is no unexplained gap in the sequence numbers",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def no_unexplained_hole(profile: Profile) -> Reconcile:
    """Small gaps are normal. A restart of Redis leaves up to 50 reserved seqs unused, or 100 in a group [F76], and a message deleted
    for everybody leaves an empty slot like that of an unused seq [F64]. Therefore only a missing document of 100 seqs above
    min_seq is reported, which neither a restart nor a deletion explains."""
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
            summary=f"messages {first} to {until} of conversation {row['conversation_id']} are missing",
            expected=f"document {row['before']}, or a min_seq above",
            actual=f"no such document; the next stored seq is {row['lowest']}",
            next_step="Compare with a backup of `msg`. Either the document was deleted, or the messages were acknowledged and never stored.",
        )

    return Reconcile(
        subject=BLOCK,
        against=Rows("openim_mongo.msg_document"),
        on=("before", "doc_id"),
        also=(("conversation_id", SEQ, "conversation_id"),),
        judge=judge,
        unit="blocks of messages",
        unseen=(
            "gaps that a deletion or a restart of Redis may have left",
            "messages missing at the end of a conversation",
        ),
    )
