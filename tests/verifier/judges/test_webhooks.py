"""The judge of WHK-01: calls of webhooks, and their refusals."""

from __future__ import annotations

import pytest

from tests.verifier.judges.recordings import Recording, judgement_of
from verifier.judges.operation import OpPhase
from verifier.judges.webhooks import Failure, judge_webhooks
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO


BEFORE, AFTER = "callbackBeforeSendSingleMsgCommand", "callbackAfterSendSingleMsgCommand"


def test_nothing_to_judge() -> None:
    """A journal without the operation is not judged."""
    unseen = Recording()
    unseen.send("m1", sender="a", receivers=["b"], outcome=OK)
    for recording in (Recording(), unseen):
        assert judge_webhooks(recording.operations, enabled=[AFTER]) is None


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
def test_an_unreachable_receiver_is_judged_by_the_declaration(
    phase: OpPhase, failure: Failure | None, verdict: Verdict
) -> None:
    """What happens to a message without its before-hook is declared in the profile, not read from the configuration."""
    recording = Recording()
    call = recording.invoke("a", "hook_silence", marker="m1")
    recording.complete(phase, "a", "hook_silence", call)
    assert judgement_of(judge_webhooks(recording.operations, enabled=(), failure=failure)).verdict is verdict


def test_calls_are_joined_by_any_of_three_ids() -> None:
    """A call belongs to a message by operationID, message id or marker. Messages of other conversations are not expected."""
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
    judged = judgement_of(judge_webhooks(recording.operations, enabled=[BEFORE, AFTER], after_rate=1))
    assert (judged.verdict, judged.seen) == (Verdict.HOLDS, 3)
