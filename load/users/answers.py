"""What an answer to a REST call that is measured says, and what locust is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from load.users.openim import envelope_of
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import outcome_of


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the call, OpenIM's errCode (0 where it says none), its data, and what went wrong."""

    phase: OpPhase
    err_code: int
    data: Mapping[str, Any]
    problem: str


def read_answer(answer: Any) -> Told:
    """Read an answer of locust's client that was asked for with `catch_response`; what went wrong counts as a failure."""
    if answer.status_code:
        code, problem, data = envelope_of(answer.status_code, answer.content or b"")
        told = Told(outcome_of(code), max(code, 0), data, problem)
    else:
        told = Told(OpPhase.INFO, 0, {}, f"no answer: {getattr(answer, 'error', None)}")
    if told.problem:
        answer.failure(told.problem)
    return told
