"""Why a run can or cannot be resumed."""

from __future__ import annotations

from datetime import timedelta

from tests.verifier.history.samples import START
from verifier.engine.plan import Plan
from verifier.engine.resume import plan_document, resume_note, why_not
from verifier.history import History
from verifier.model.invariant import Phase
from verifier.profile import parse_profile

PROFILE = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n')


def test_why_a_run_cannot_be_resumed() -> None:
    """The profile or checks differ, or it was too long ago. A changed budget or pause file does not matter."""
    plan = Plan(phase=Phase.BASELINE, checks=())
    document = plan_document(PROFILE, plan)
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "baseline", START, plan=document)
        with history.lock():
            interrupted = history.interrupted_run()
    assert interrupted is not None
    assert why_not(None, document, START, 60) == "nothing to resume: the last run of this stack was not interrupted"
    assert why_not(interrupted, document, START, 60) is None
    reason = why_not(interrupted, {**document, "checks": ["USR-01"], "profile": "x"}, START, 60)
    assert reason == "run r1 was interrupted and cannot be resumed: other checks were selected, the profile has changed"
    assert "timing.resume_within_s" in (why_not(interrupted, document, START + timedelta(minutes=2), 60) or "")
    paced = parse_profile(
        'stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\npause_file = "p"\n[gate]\ngreens = 5\n[roles]\n'
    )
    assert plan_document(paced, plan) == document
    slower = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 9\n[roles]\n')
    assert plan_document(slower, plan) != document
    assert "0 of 3 checks were judged" in resume_note(interrupted, 3)
