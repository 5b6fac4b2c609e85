"""Outcomes to record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from verifier.history import History
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.verdict import Coverage, Judgement, Outcome, RunResult, Verdict

START = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """START plus minutes."""
    return START + timedelta(minutes=minutes)


def finding(history: History, raw_key: str, *, check_id: str = "USR-01", summary: str = "missing in OpenIM") -> Finding:
    """A finding as the engine creates it."""
    return Finding(
        check_id=check_id,
        severity=Severity.CRITICAL,
        key=raw_key,
        raw_key=raw_key,
        summary=summary,
        expected="registered",
        actual="unregistered",
        next_step="register the account",
        evidence={"openim": "account_check: 0"},
        fingerprint=history.fingerprint(check_id, raw_key),
        first_seen_at=START,
        confirmed_at=START,
    )


def outcome(
    verdict: Verdict = Verdict.HOLDS,
    findings: Sequence[Finding] = (),
    *,
    check_id: str = "USR-01",
    ended_at: datetime = START,
    total: int | None = None,
    notes: Sequence[str] = (),
    partial: bool = False,
) -> Outcome:
    """An outcome with these findings."""
    return Outcome(
        check_id=check_id,
        title="Every active user is registered",
        severity=Severity.CRITICAL,
        judgement=Judgement(
            verdict=verdict,
            reason="why" if verdict is Verdict.INCONCLUSIVE else "",
            coverage=(Coverage(10, 10, "users"),),
            findings=tuple(findings),
            findings_total=len(findings) if total is None else total,
            notes=tuple(notes),
            partial=partial,
        ),
        started_at=START,
        ended_at=ended_at,
    )


def violated(findings: Sequence[Finding], **more: object) -> Outcome:
    """A violated outcome with these findings."""
    return outcome(Verdict.VIOLATED, findings, **more)  # type: ignore[arg-type]


def result(
    run_id: str, outcomes: Sequence[Outcome] = (), *, ended_at: datetime = START, interrupted: bool = False
) -> RunResult:
    """A run with these outcomes."""
    return RunResult(
        run_id=run_id,
        stack="s",
        phase="cutover",
        started_at=START,
        ended_at=ended_at,
        outcomes=tuple(outcomes),
        notes=("a note",),
        interrupted=interrupted,
        reads={"user_db": 7},
    )


def one_run(history: History, run_id: str, *outcomes: Outcome) -> None:
    """Lock, begin, record, finish."""
    with history.lock():
        history.begin(run_id, "cutover", START)
        for item in outcomes:
            history.record(item)
        history.finish(result(run_id, outcomes))
