"""A run result with a secret in every text, and the secrets that must not appear in any output."""

from __future__ import annotations

from dataclasses import replace

from tests.verifier.render.samples import finding, mixed_result, outcome, violated
from verifier.model.invariant import Severity
from verifier.model.verdict import Coverage, Judgement, RunResult, Verdict

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJVc2VySUQiOiJ1MSIsIlBsYXRmb3JtSUQiOjV9.c2lnbmF0dXJl"
PLANTED = f"{JWT} postgresql://app:hunter2@db/users im:token:u1 = 3f9c0d8e7b6a5f4e3d2c1b0a"
SECRETS = (JWT, JWT.split(".")[1], "hunter2", "3f9c0d8e7b6a5f4e3d2c1b0a", "the raw key")


def leaking_result() -> RunResult:
    """A result with a secret in every text."""
    breach = replace(
        finding(
            "USR-01", PLANTED, PLANTED, PLANTED, PLANTED, PLANTED, evidence={PLANTED: PLANTED, "password": "hunter2"}
        ),
        raw_key="the raw key",
    )
    judgement = violated(
        [breach], coverage=Coverage(1, 1, PLANTED, PLANTED, (PLANTED,)), notes=(PLANTED,), queries=(PLANTED,)
    )
    judgements = [
        replace(judgement, reason=PLANTED),
        replace(judgement, verdict=Verdict.WAIVED, reason=PLANTED),
        Judgement.inconclusive(PLANTED, notes=(PLANTED,)),
        Judgement.not_applicable(PLANTED),
    ]
    outcomes = tuple(outcome(f"X-{number}", PLANTED, Severity.HIGH, item) for number, item in enumerate(judgements))
    return replace(mixed_result(), stack=PLANTED, outcomes=outcomes, notes=(PLANTED,), reads={PLANTED: 1})
