"""States of a service for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from verifier.model.invariant import Severity
from verifier.model.verdict import Judgement, Outcome, RunResult, Verdict
from verifier.profile import parse_profile
from verifier.service.state import ServiceState

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PROFILE = """
stack = "acme"
phase = "baseline"
[roles]
[timing]
check_timeout_s = 3600
[schedule]
cron = "0 * * * *"
"""


def state(**values: object) -> ServiceState:
    """The state of a service that started at noon and runs every hour."""
    made = ServiceState(profile=parse_profile(PROFILE), started_at=NOON)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def outcome(check_id: str, verdict: Verdict, *, findings: int = 0) -> Outcome:
    """One check's outcome."""
    return Outcome(
        check_id=check_id,
        title=f"{check_id} holds",
        severity=Severity.HIGH,
        judgement=Judgement(verdict=verdict, reason="because", findings_total=findings),
        started_at=NOON,
        ended_at=NOON,
    )


def run(*outcomes: Outcome, started_at: datetime = NOON, took_s: float = 60) -> RunResult:
    """A finished run."""
    return RunResult(
        run_id="r1",
        stack="acme",
        phase="baseline",
        started_at=started_at,
        ended_at=started_at + timedelta(seconds=took_s),
        outcomes=outcomes,
        reads={"user_db": 12},
    )
