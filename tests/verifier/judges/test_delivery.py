"""The judge of delivery finds exactly what was planted, and reports nothing that is not known."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verifier.judges.recordings import SETTLE_S, USERS, Fate, Recording, fates, receivers_of, recorded
from verifier.judges.delivery import DeliveryReport, DeliveryTally, judge_delivery
from verifier.judges.journal import JournalError
from verifier.judges.operation import OpPhase
from verifier.model.verdict import Verdict

OK = OpPhase.OK
UNANSWERED = (OpPhase.INFO, None)


def _judged(recording: Recording) -> DeliveryReport:
    report = judge_delivery(recording.operations, settle_s=SETTLE_S)
    assert report is not None
    return report


@given(st.lists(fates, min_size=1, max_size=12))
def test_every_count_equals_the_model(messages: list[Fate]) -> None:
    """Lost, duplicated, altered, unexpected, recovered: for every receiver, each count equals that of the model."""
    report = _judged(recorded(messages))
    for user in USERS:
        addressed = [fate for fate in messages if user in receivers_of(fate)]
        tally = report.receivers.get(user, DeliveryTally())
        acked = [fate for fate in addressed if fate.outcome is OK]
        assert astuple(tally) == (
            len(acked),
            sum(fate.copies[user] > 0 for fate in acked),
            sum(fate.copies[user] == 0 for fate in acked),
            0,
            sum(fate.copies[user] > 0 for fate in addressed if fate.outcome in UNANSWERED),
            sum(fate.copies[user] > 1 for fate in addressed),
            sum(user in fate.altered and fate.copies[user] > 0 for fate in addressed),
            sum(
                fate.copies[user] > 0 and (fate.outcome is OpPhase.FAIL or user not in receivers_of(fate))
                for fate in messages
            ),
        )
    sends = (report.sent, report.acked, report.refused, report.unknown_sends)
    outcomes = [fate.outcome for fate in messages]
    refused = outcomes.count(OpPhase.FAIL)
    assert sends == (len(messages), outcomes.count(OK), refused, len(messages) - outcomes.count(OK) - refused)


@given(st.lists(fates, min_size=1, max_size=12))
def test_an_early_read_back_reports_nothing_as_lost(messages: list[Fate]) -> None:
    """A message that an early read-back does not show is unknown."""
    report = _judged(recorded(messages, wait_s=0))
    assert report.count("lost") == 0
    assert report.count("expected") == report.count("received") + report.count("unknown")


@given(st.lists(fates, min_size=1, max_size=12))
def test_without_read_backs_delivery_is_inconclusive(messages: list[Fate]) -> None:
    """A recorder that was killed before the read-backs leaves unknown messages."""
    recording = recorded(messages)
    recording.operations = [item for item in recording.operations if item.op == "send"]
    report = _judged(recording)
    assert report.problems == ()
    assert report.judgement.verdict is Verdict.INCONCLUSIVE


@given(st.lists(fates, min_size=1, max_size=8))
def test_the_order_of_independent_calls_in_the_file_does_not_matter(messages: list[Fate]) -> None:
    """Files of several recorders may be read one after the other, because judges compare times and ids."""
    recording = recorded(messages)
    expected = _judged(recording)
    by_process = sorted(recording.operations, key=lambda item: item.process)
    shuffled = Recording(operations=by_process)
    again = _judged(shuffled)
    assert (again.receivers, again.problems_total) == (expected.receivers, expected.problems_total)


def test_every_problem_names_two_operations() -> None:
    """The summary names the acknowledged send and the read-back that does not show it."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["alice", "bob"], outcome=OK)
    recording.wait(3)
    recording.read("alice", [("m1", 1)])
    recording.read("bob", [])
    (problem,) = _judged(recording).problems
    assert "m1 was acknowledged (send ok 1 of alice at" in problem.summary
    assert "bob did not find it later (read_back ok 6 of bob at" in problem.summary


def test_a_message_that_was_seen_and_is_gone_is_lost() -> None:
    """The latest complete read-back decides, because an earlier one may come from a cache."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["bob"], outcome=OK)
    recording.read("bob", [("m1", 1)])
    recording.wait(60)
    recording.read("bob", [])
    report = _judged(recording)
    assert report.count("lost") == 1
    assert "is gone from a later read" in report.problems[0].summary


def test_a_late_message_is_not_lost() -> None:
    """A later read-back with the message supersedes an earlier one without it."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["bob"], outcome=OK)
    recording.wait(5)
    recording.read("bob", [])
    recording.wait(5)
    recording.read("bob", [("m1", 1)])
    assert _judged(recording).judgement.verdict is Verdict.HOLDS


def test_an_incomplete_read_back_reports_nothing_as_lost() -> None:
    """A single page proves presence, not absence."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["bob"], outcome=OK)
    recording.wait(5)
    recording.read("bob", [], complete=False)
    report = _judged(recording)
    assert (report.count("lost"), report.count("unknown")) == (0, 1)
    assert report.judgement.verdict is Verdict.INCONCLUSIVE


def test_a_message_that_was_never_sent_is_unexpected() -> None:
    """A marker of this run without a send."""
    recording = Recording()
    recording.read("bob", [("ghost", 4)])
    report = _judged(recording)
    assert "never sent" in report.problems[0].summary
    assert report.judgement.verdict is Verdict.VIOLATED


def test_the_same_place_seen_twice_is_one_message() -> None:
    """Two read-backs and a push of one seq are not duplicates."""
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["bob"], outcome=OK)
    recording.observe("bob", "receive", marker="m1", receiver="bob", conversation="c1", seq=1, channel="websocket")
    recording.wait(5)
    recording.read("bob", [("m1", 1)])
    recording.read("bob", [("m1", 1)])
    assert _judged(recording).judgement.verdict is Verdict.HOLDS


def test_without_an_acknowledged_message_delivery_is_inconclusive() -> None:
    """Ten refused messages that no receiver saw prove nothing about delivery."""
    recording = Recording()
    for number in range(10):
        recording.send(f"m{number}", sender="alice", receivers=["bob"], outcome=OpPhase.FAIL)
    recording.wait(5)
    recording.read("bob", [])
    judgement = _judged(recording).judgement
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "nothing succeeded" in judgement.reason


def test_a_journal_without_messages_is_not_judged() -> None:
    """The judge returns None."""
    assert judge_delivery(Recording().operations) is None


def test_a_marker_used_twice_is_refused() -> None:
    """Two sends that cannot be distinguished would hide a loss behind a duplicate."""
    recording = Recording()
    for _ in range(2):
        recording.send("m1", sender="alice", receivers=["bob"], outcome=OK)
    with pytest.raises(JournalError, match="belongs to two sends"):
        judge_delivery(recording.operations)
