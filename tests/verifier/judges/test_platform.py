"""The judges of KEEP-01 and WS-01: a replayed nonce, and the old websocket."""

from __future__ import annotations

from tests.verifier.judges.recordings import Recording, call, judgement_of
from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import OpPhase
from verifier.judges.platform import judge_legacy_websocket, judge_nonce
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO


def test_nothing_to_judge() -> None:
    """A journal without the operation is not judged."""
    assert [judge([]) for judge in (judge_nonce, judge_legacy_websocket)] == [None, None]


def _replay(phase: OpPhase, first: int = 200) -> JournalJudgement:
    recording = Recording()
    call(recording, "nonce_replay", phase, {"route": "/friends", "first_status": first}, {"status": 409})
    return judgement_of(judge_nonce(recording.operations))


def test_a_replayed_nonce_must_be_refused() -> None:
    """Refused holds, accepted is a breach; an unknown outcome or a failed first call is inconclusive."""
    assert _replay(FAIL).verdict is Verdict.HOLDS
    assert _replay(OK).verdict is Verdict.VIOLATED
    assert _replay(INFO).verdict is Verdict.INCONCLUSIVE
    assert _replay(FAIL, first=401).verdict is Verdict.INCONCLUSIVE


def _probe(phase: OpPhase, **answer: object) -> JournalJudgement:
    recording = Recording()
    call(recording, "ws_probe", phase, {"url": "ws://old/ws"}, {"listened_s": 2.0, **answer})
    return judgement_of(judge_legacy_websocket(recording.operations))


def test_the_old_websocket_must_refuse_or_deliver_nothing() -> None:
    """A connection that delivers messages is a breach; one that delivers none gives a note."""
    assert _probe(FAIL, reason="HTTP 410").verdict is Verdict.HOLDS
    silent = _probe(OK, delivered=0)
    assert silent.verdict is Verdict.HOLDS
    assert "still accepts connections" in silent.notes[0]
    assert _probe(OK, delivered=3).verdict is Verdict.VIOLATED
    assert _probe(INFO).verdict is Verdict.INCONCLUSIVE
