"""The judge of LAG-01: the median time from acknowledgement to push."""

from __future__ import annotations

import pytest

from tests.verifier.judges.recordings import Recording, judgement_of
from verifier.judges.judgement import JournalJudgement
from verifier.judges.lag import judge_lag
from verifier.judges.operation import WEBSOCKET, OpPhase
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO


def test_nothing_to_judge() -> None:
    """A message that no receiver saw has no lag."""
    unseen = Recording()
    unseen.send("m1", sender="a", receivers=["b"], outcome=OK)
    for recording in (Recording(), unseen):
        assert judge_lag(recording.operations, bound_s=1) is None


def _seen(*lags_s: float, channel: str = WEBSOCKET, outcome: OpPhase = OK) -> JournalJudgement | None:
    recording = Recording()
    for number, lag_s in enumerate(lags_s):
        recording.send(f"m{number}", sender="a", receivers=["b"], outcome=outcome)
        recording.wait(lag_s)
        recording.observe("b", "receive", marker=f"m{number}", channel=channel)
    return judge_lag(recording.operations, bound_s=1)


@pytest.mark.parametrize(
    ("lags_s", "channel", "verdict"),
    [
        ((0.1, 0.1, 0.9), WEBSOCKET, Verdict.HOLDS),
        ((0.1, 0.1, 30), WEBSOCKET, Verdict.HOLDS),
        ((0.1, 2, 2), WEBSOCKET, Verdict.VIOLATED),
        ((0.5, 9, 9), "pull", Verdict.HOLDS),
        ((9, 9), "pull", Verdict.INCONCLUSIVE),
    ],
)
def test_the_median_lag_is_judged(lags_s: tuple[float, ...], channel: str, verdict: Verdict) -> None:
    """The median of pushes is compared with the bound. An early read-back holds, a late one proves nothing."""
    assert judgement_of(_seen(*lags_s, channel=channel)).verdict is verdict


def test_the_first_sight_counts() -> None:
    """A second connection that receives the message later does not matter, and an unanswered send has no lag."""
    recording = Recording()
    recording.send("m1", sender="a", receivers=["b"], outcome=OK)
    for wait_s in (0.1, 60):
        recording.wait(wait_s)
        recording.observe("b", "receive", marker="m1", channel=WEBSOCKET)
    assert judgement_of(judge_lag(recording.operations, bound_s=1)).verdict is Verdict.HOLDS
    assert _seen(9.0, outcome=INFO) is None
