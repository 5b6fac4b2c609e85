"""Interrupted runs in the history: which can be resumed, and what a resumed run keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.verifier.history.samples import START, finding, result, violated
from verifier.history import FindingState, History, RunKind, RunState


def test_a_resumed_run_keeps_verdicts_and_drops_checkpoints_of_judged_checks() -> None:
    """An interrupted run is found, resumed under its run ID, and finishes as one run."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", START, plan={"checks": ["USR-01", "X-1"]})
            found = violated([finding(history, "u1")])
            history.save_checkpoint("USR-01", "walk 0", {"position": "5"}, reads={"user_db": 4})
            history.commit_check(found, {}, reads={"user_db": 7})
            history.save_checkpoint("X-1", "walk 0", {"position": "9"})
        with history.lock():
            interrupted = history.interrupted_run()
            assert interrupted is not None
            assert (interrupted.run_id, interrupted.judged, interrupted.resumed, interrupted.plan["checks"]) == (
                "r1",
                1,
                0,
                ["USR-01", "X-1"],
            )
            before = history.result("r1")
            assert before is not None
            assert before.reads == {"user_db": 7}
            history.resume("r1")
            assert [(run.run_id, run.state) for run in history.runs()] == [("r1", RunState.RUNNING)]
            assert history.checkpoint("USR-01", "walk 0") is None
            assert history.checkpoint("X-1", "walk 0") == {"position": "9"}
            history.record(found)
            history.finish(replace(result("r1", [found]), ended_at=START + timedelta(minutes=1)))
        assert [run.state for run in history.runs()] == [RunState.FINISHED]
        assert [(item.times_seen, item.state) for item in history.findings()] == [(1, FindingState.NEW)]
        with history.lock():
            assert history.interrupted_run() is None


@pytest.mark.parametrize("kind", [RunKind.RUN, RunKind.BASELINE])
def test_only_the_newest_run_can_be_resumed(kind: RunKind) -> None:
    """A later run or baseline has changed the watermarks; a what-if run has not."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", START, plan={})
        with history.lock():
            history.begin("w", "frozen", START + timedelta(seconds=1), kind=RunKind.WHAT_IF)
            history.finish(result("w"))
        with history.lock():
            assert history.interrupted_run() is not None
            history.begin("r2", "cutover", START + timedelta(seconds=2), kind=kind)
            history.finish(result("r2"))
        with history.lock():
            assert history.interrupted_run() is None
