"""The judge of TOK-07: a login on a second platform."""

from __future__ import annotations

import pytest

from tests.verifier.judges.recordings import Recording, judgement_of
from verifier.judges.devices import judge_two_platforms
from verifier.judges.operation import OpPhase
from verifier.model.verdict import Verdict

OK, FAIL, INFO = OpPhase.OK, OpPhase.FAIL, OpPhase.INFO


def test_nothing_to_judge() -> None:
    """A journal without the operation is not judged."""
    unseen = Recording()
    unseen.send("m1", sender="a", receivers=["b"], outcome=OK)
    for recording in (Recording(), unseen):
        assert judge_two_platforms(recording.operations) is None


@pytest.mark.parametrize(
    ("phase", "answer", "policy", "verdict"),
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
def test_a_second_device_is_judged_by_the_policy(
    phase: OpPhase, answer: dict[str, object], policy: str, verdict: Verdict
) -> None:
    """Only a session that OpenIM ended against the policy is a breach."""
    recording = Recording()
    call = recording.invoke("a", "second_login", user="a", platforms=[2, 5])
    recording.complete(phase, "a", "second_login", call, **answer)
    judged = judge_two_platforms(recording.operations, second_device="kept" if policy == "kept" else "ends_first")
    assert judgement_of(judged).verdict is verdict
