"""The outcome of a trial from its report."""

from __future__ import annotations

from typing import Any

import pytest

from load.experiments.plans import PlanResult
from load.experiments.trials import outcome_of_run
from verifier.model.verdict import ExitCode


@pytest.mark.parametrize(
    ("report", "broken", "outcome"),
    [
        ({}, (), "held"),
        ({}, ("send_p99_ms: 900, asked for 5",), "broke"),
        ({"judgements": {"delivery": {"verdict": "violated", "problems_total": 3}}}, (), "broke"),
        ({"delivery": {"unknown_sends": 1}}, (), "broke"),
        ({"delivery": {"refused": 1}}, (), "broke"),
        ({"doubts": ["the run was aborted: backlog"]}, (), "broke"),
        ({"doubts": ["5 messages were due and never sent: their users' queues were full"]}, (), "broke"),
        ({"doubts": ["the generator used 98% of a core"]}, ("send_p99_ms: 900",), "generator"),
    ],
)
def test_failures_of_the_server_break_a_rate(report: dict[str, Any], broken: tuple[str, ...], outcome: str) -> None:
    """If the generator was the bottleneck, the outcome is `generator`, whatever was measured."""
    assert outcome_of_run(PlanResult(code=ExitCode.HOLDS, broken=broken, report=report), 1).outcome == outcome
