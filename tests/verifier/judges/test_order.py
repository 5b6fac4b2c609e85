"""The judge of order finds planted inversions, and none between messages that were in flight together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.verifier.judges.recordings import Recording
from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import OpPhase
from verifier.judges.order import judge_order
from verifier.model.verdict import Verdict


def _judged(recording: Recording) -> JournalJudgement:
    judgement = judge_order(recording.operations)
    assert judgement is not None
    return judgement


@given(st.permutations(range(7)))
def test_each_inverted_message_is_reported_once(seqs: list[int]) -> None:
    """Each message that comes before one that was sent earlier is one problem."""
    recording = Recording()
    for number in range(len(seqs)):
        recording.send(f"m{number}", sender="alice", receivers=["bob"], outcome=OpPhase.OK)
    recording.read("bob", [(f"m{number}", seq + 1) for number, seq in enumerate(seqs)])
    judgement = _judged(recording)
    assert judgement.problems_total == sum(max(seqs[:n], default=-1) > seq for n, seq in enumerate(seqs))
    assert judgement.seen == len(seqs) - 1


@given(st.permutations(range(5)))
def test_messages_in_flight_together_may_have_any_order(seqs: list[int]) -> None:
    """Five sends that begin before the first answer cannot be out of order."""
    recording = Recording()
    ids = [
        recording.invoke("alice", "send", marker=f"m{n}", conversation="c1", sender="alice", receivers=["bob"])
        for n in range(5)
    ]
    for call_id in ids:
        recording.complete(OpPhase.OK, "alice", "send", call_id)
    recording.read("bob", [(f"m{number}", seq + 1) for number, seq in enumerate(seqs)])
    assert judge_order(recording.operations) is None


def test_two_senders_are_not_compared() -> None:
    """The order of two users depends on clocks and networks."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["bob"], outcome=OpPhase.OK)
    recording.send("m2", sender="bob", receivers=["bob"], outcome=OpPhase.OK)
    recording.read("bob", [("m1", 2), ("m2", 1)])
    assert judge_order(recording.operations) is None


def test_an_unanswered_send_is_compared_with_earlier_messages_only() -> None:
    """Without an answer to m2 it cannot be compared with m3, but it was sent after m1 was acknowledged."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["bob"], outcome=OpPhase.OK)
    recording.send("m2", sender="alice", receivers=["bob"], outcome=OpPhase.INFO)
    recording.send("m3", sender="alice", receivers=["bob"], outcome=OpPhase.OK)
    recording.read("bob", [("m1", 2), ("m2", 4), ("m3", 3)])
    assert _judged(recording).problems == ()
    recording.operations = [item for item in recording.operations if item.op == "send"]
    recording.read("bob", [("m1", 2), ("m2", 1), ("m3", 3)])
    (problem,) = _judged(recording).problems
    assert problem.key == "m1 and m2"


def test_without_seqs_the_order_is_that_of_arrival() -> None:
    """On a channel without seqs, the order of arrival at each receiver counts."""
    recording = Recording()
    for number in (1, 2):
        recording.send(f"m{number}", sender="alice", receivers=["bob", "carol"], outcome=OpPhase.OK)
    for receiver, markers in (("bob", ("m1", "m2")), ("carol", ("m2", "m1"))):
        for marker in markers:
            recording.observe(receiver, "receive", marker=marker, receiver=receiver, conversation="c1")
    judgement = _judged(recording)
    assert judgement.problems_total == 1
    assert "receive ok" in judgement.problems[0].summary


def test_two_messages_at_one_seq_are_a_problem() -> None:
    """The problem names both messages."""
    recording = Recording()
    for number in (1, 2):
        recording.send(f"m{number}", sender="alice", receivers=["bob"], outcome=OpPhase.OK)
    recording.read("bob", [("m1", 5), ("m2", 5)])
    assert _judged(recording).problems[0].key == "c1 seq 5"


def test_all_receivers_must_see_the_same_seq() -> None:
    """A message with two seqs for two users is a problem."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["alice", "bob"], outcome=OpPhase.OK)
    recording.read("alice", [("m1", 1)])
    recording.read("bob", [("m1", 2)])
    assert "same seq for all receivers" in _judged(recording).problems[0].expected


def test_nothing_to_compare_is_not_a_pass() -> None:
    """Without two messages of one sender the judge returns None; with two in order, it holds."""
    recording = Recording()
    assert judge_order(recording.operations) is None
    for number in (1, 2):
        recording.send(f"m{number}", sender="alice", receivers=["bob"], outcome=OpPhase.OK)
    recording.read("bob", [("m1", 1), ("m2", 2)])
    assert _judged(recording).verdict is Verdict.HOLDS


def test_a_duplicate_that_all_receivers_see_is_not_a_disagreement() -> None:
    """Two seqs for one send are a duplicate, which the judge of delivery reports."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["alice", "bob"], outcome=OpPhase.OK)
    recording.send("m2", sender="alice", receivers=["alice", "bob"], outcome=OpPhase.OK)
    for user in ("alice", "bob"):
        recording.read(user, [("m1", 1), ("m1", 2), ("m2", 3)])
    assert _judged(recording).problems == ()
