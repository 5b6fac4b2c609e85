"""The judge of MQ-05: one push for each message and receiver."""

from __future__ import annotations

from tests.verifier.judges.recordings import Recording, call, judgement_of
from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import OpPhase
from verifier.judges.pushes import judge_push_once
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO


def test_nothing_to_judge() -> None:
    """A journal without the operation is not judged."""
    assert judge_push_once([]) is None


def _pushes(*notification_ids: str, watched: OpPhase = OK) -> Recording:
    recording = Recording()
    recording.send("m1", sender="alice", receivers=["alice", "bob"], outcome=OK)
    for notification_id in notification_ids:
        recording.observe(
            "bob", "push", receiver="bob", notification_id=notification_id, message_id="id of m1", source="platform"
        )
    call(recording, "push_watch", watched, {"receiver": "bob"}, {})
    return recording


def test_at_most_one_push_is_allowed() -> None:
    """A repetition by the provider keeps its notification id and is not a second push."""
    verdicts = [judgement_of(judge_push_once(_pushes(*ids).operations)).verdict for ids in ((), ("n1",), ("n1", "n1"))]
    assert verdicts == [Verdict.HOLDS] * 3
    twice = judgement_of(judge_push_once(_pushes("n1", "n2").operations))
    assert twice.verdict is Verdict.VIOLATED
    assert "m1 was pushed to bob twice" in twice.problems[0].summary


def test_a_push_sink_that_could_not_be_read_is_inconclusive() -> None:
    """A sink that could not be read is not an empty sink."""
    assert judgement_of(judge_push_once(_pushes(watched=INFO).operations)).verdict is Verdict.INCONCLUSIVE


def _online(
    *arrived: tuple[str, int, int], devices: int = 0, watched: OpPhase = OK, sink: bool = True
) -> JournalJudgement:
    """A message from alice to both; (receiver, connection, seq) of each push over a WebSocket."""
    recording = Recording()
    for name in ("alice", "bob"):
        call(recording, "ws_connect", OK, {"route": "ws", "user": name}, {"token_in": []})
    recording.send("m1", sender="alice", receivers=["alice", "bob"], outcome=OK)
    for receiver, connection, seq in arrived:
        recording.observe(
            receiver,
            "receive",
            marker="m1",
            receiver=receiver,
            seq=seq,
            message_id="id of m1",
            channel="websocket",
            connection=f"{receiver} #{connection}",
        )
    for number in range(devices):
        recording.observe("bob", "push", receiver="bob", notification_id=f"n{number}", marker="m1", source="platform")
    for name in ("alice", "bob"):
        call(recording, "ws_watch", watched if name == "bob" else OK, {"receiver": name}, {"receiver": name})
        if sink:
            call(recording, "push_watch", OK, {"receiver": name}, {})
    return judgement_of(judge_push_once(recording.operations))


def test_one_push_for_each_connection_holds() -> None:
    """The sender's echo, two connections of one receiver, a push that did not come, and no sink to watch."""
    everywhere = _online(("alice", 1, 1), ("bob", 1, 1), ("bob", 2, 1))
    assert (everywhere.verdict, everywhere.seen, everywhere.total) == (Verdict.HOLDS, 2, 2)
    missed = _online(("alice", 1, 1))
    assert missed.verdict is Verdict.HOLDS
    assert "1 of 2 messages did not arrive over an open connection" in missed.notes
    without_sink = _online(("alice", 1, 1), ("bob", 1, 1), sink=False)
    assert (without_sink.verdict, without_sink.notes) == (Verdict.HOLDS, ("no push sink was watched",))


def test_a_second_push_over_one_connection_is_a_breach() -> None:
    """The same place twice is a double push; two places are a message stored twice, which MSG-04 reports."""
    twice = _online(("bob", 1, 1), ("bob", 1, 1))
    assert twice.verdict is Verdict.VIOLATED
    assert "over one connection" in twice.problems[0].summary
    assert _online(("bob", 1, 1), ("bob", 1, 2)).verdict is Verdict.HOLDS


def test_a_device_push_beside_a_push_of_openim_is_a_breach() -> None:
    """The finding names both senders."""
    both = _online(("bob", 1, 1), devices=1)
    assert both.verdict is Verdict.VIOLATED
    assert "OpenIM's WebSocket (bob #1) and platform" in both.problems[0].actual
    assert _online(("alice", 1, 1), devices=1).verdict is Verdict.HOLDS


def test_a_receiver_whose_connection_ended_early_is_unknown() -> None:
    """Only that receiver is unknown."""
    judgement = _online(("alice", 1, 1), ("bob", 1, 1), watched=INFO)
    assert (judgement.verdict, judgement.seen, judgement.unknown) == (Verdict.INCONCLUSIVE, 1, 1)
