"""The judges of pace, second devices and webhooks: absent, holds, violated and unknown are four answers."""

from __future__ import annotations

import pytest

from tests.verifier.judges.histories import Recording
from verifier.judges.devices import judge_two_platforms
from verifier.judges.judgement import JournalJudgement
from verifier.judges.lag import judge_lag
from verifier.judges.operation import WEBSOCKET, OpPhase
from verifier.judges.webhooks import Failure, judge_webhooks
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO
BEFORE, AFTER = "callbackBeforeSendSingleMsgCommand", "callbackAfterSendSingleMsgCommand"


def _there(judgement: JournalJudgement | None) -> JournalJudgement:
    assert judgement is not None
    return judgement


def test_each_judge_tells_absent_apart() -> None:
    """A journal without the operation is not judged at all, and a message that nobody saw has no lag."""
    unseen = Recording()
    unseen.send("m1", sender="a", receivers=["b"], outcome=OK)
    for recording in (Recording(), unseen):
        assert judge_lag(recording.operations, bound_s=1) is None
        assert judge_two_platforms(recording.operations) is None
        assert judge_webhooks(recording.operations, enabled=[AFTER]) is None


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
def test_the_usual_lag_is_judged(lags_s: tuple[float, ...], channel: str, verdict: Verdict) -> None:
    """The median of pushes breaks the bound or not; a late read-back tells nothing, one in time tells all."""
    assert _there(_seen(*lags_s, channel=channel)).verdict is verdict


def test_the_first_sight_counts() -> None:
    """A receiver's second connection, which hears a message later, makes it no later; an unanswered send has no lag."""
    recording = Recording()
    recording.send("m1", sender="a", receivers=["b"], outcome=OK)
    for wait_s in (0.1, 60):
        recording.wait(wait_s)
        recording.observe("b", "receive", marker="m1", channel=WEBSOCKET)
    assert _there(judge_lag(recording.operations, bound_s=1)).verdict is Verdict.HOLDS
    assert _seen(9.0, outcome=INFO) is None


@pytest.mark.parametrize(
    ("phase", "told", "policy", "verdict"),
    [
        (OK, {}, "kept", Verdict.HOLDS),
        (FAIL, {"session": "first", "err_code": 1506}, "kept", Verdict.VIOLATED),
        (FAIL, {"session": "first", "err_code": 1506}, "ends_first", Verdict.HOLDS),
        (FAIL, {"session": "first", "err_code": None}, "ends_first", Verdict.HOLDS),
        (FAIL, {"session": "second", "err_code": 1507}, "ends_first", Verdict.VIOLATED),
        (FAIL, {"session": "first", "err_code": 1001}, "kept", Verdict.INCONCLUSIVE),
        (INFO, {"session": "first"}, "kept", Verdict.INCONCLUSIVE),
    ],
)
def test_a_second_device_by_policy(phase: OpPhase, told: dict[str, object], policy: str, verdict: Verdict) -> None:
    """Only an end that OpenIM tells and the policy does not want is a breach."""
    recording = Recording()
    call = recording.invoke("a", "second_login", user="a", platforms=[2, 5])
    recording.complete(phase, "a", "second_login", call, **told)
    judged = judge_two_platforms(recording.operations, second_device="kept" if policy == "kept" else "ends_first")
    assert _there(judged).verdict is verdict


@pytest.mark.parametrize(
    ("phase", "failure", "verdict"),
    [
        (OK, "continue", Verdict.HOLDS),
        (FAIL, "continue", Verdict.VIOLATED),
        (FAIL, "refuse", Verdict.HOLDS),
        (OK, "refuse", Verdict.VIOLATED),
        (OK, None, Verdict.INCONCLUSIVE),
        (INFO, "refuse", Verdict.INCONCLUSIVE),
    ],
)
def test_an_unreachable_receiver_by_what_is_declared(phase: OpPhase, failure: Failure | None, verdict: Verdict) -> None:
    """What happens to a message without its before-hook is declared, not read from the configuration."""
    recording = Recording()
    call = recording.invoke("a", "hook_silence", marker="m1")
    recording.complete(phase, "a", "hook_silence", call)
    assert _there(judge_webhooks(recording.operations, enabled=(), failure=failure)).verdict is verdict


def test_hooks_join_by_any_of_three_names() -> None:
    """A call belongs to a message by operationID, message id or marker; another conversation's messages are not asked for."""
    recording = Recording()
    watch = recording.invoke("a", "hook_watch", conversation="c1")
    for number, name in enumerate(("marker", "message_id", "operation_id")):
        marker = f"m{number}"
        call = recording.invoke("a", "send", marker=marker, conversation="c1", channel="platform")
        names = {"marker": marker, "message_id": f"id{number}", "operation_id": f"op{number}"}
        recording.complete(OK, "a", "send", call, message_id=f"id{number}", operation_id=f"op{number}")
        recording.observe("a", "hook", command=AFTER, **{name: names[name]})
    recording.send("elsewhere", sender="a", receivers=["b"], outcome=OK, at="c2")
    recording.complete(OK, "a", "hook_watch", watch)
    judged = _there(judge_webhooks(recording.operations, enabled=[BEFORE, AFTER], after_rate=1))
    assert (judged.verdict, judged.seen) == (Verdict.HOLDS, 3)
