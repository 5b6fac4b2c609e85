"""The outcome of a measured REST call, and what locust counts as a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from load.users.openim import envelope_of
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import outcome_of


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What is known of a call: its phase, OpenIM's errCode (0 without one), its data, and the error; empty if none."""

    phase: OpPhase
    err_code: int
    data: Mapping[str, Any]
    problem: str


def read_answer(answer: Any) -> CallOutcome:
    """Read an answer of locust's client that was requested with `catch_response`; an error counts as a failure."""
    if answer.status_code:
        code, problem, data = envelope_of(answer.status_code, answer.content or b"")
        outcome = CallOutcome(outcome_of(code), max(code, 0), data, problem)
    else:
        outcome = CallOutcome(OpPhase.INFO, 0, {}, f"no answer: {getattr(answer, 'error', None)}")
    if outcome.problem:
        answer.failure(outcome.problem)
    return outcome
