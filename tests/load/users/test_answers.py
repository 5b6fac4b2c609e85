"""The outcomes of calls by errCode."""

from __future__ import annotations

from verifier.judges.operation import OpPhase
from verifier.judges.recorder import outcome_of


def test_error_codes_separate_refused_from_unknown() -> None:
    """A refusal comes before anything is queued; a server's own failure may come after."""
    phases = {code: outcome_of(code) for code in (0, 1001, 1302, 1501, 500, 90002, -1)}
    assert phases == {
        0: OpPhase.OK,
        1001: OpPhase.FAIL,
        1302: OpPhase.FAIL,
        1501: OpPhase.FAIL,
        500: OpPhase.INFO,
        90002: OpPhase.INFO,
        -1: OpPhase.INFO,
    }
