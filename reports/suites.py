"""The section of the suites: one line for each test file. A failed test is a finding."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from reports.models.suites import CaseDocument, Ending, SuitesDocument
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import Coverage, Judgement, Outcome, RunResult, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedTest(Finding):
    """A failed test, as a finding. It is rechecked by running it again."""

    @property
    def recheck_command(self) -> str:
        """The command that runs the test again."""
        return f"pytest {shlex.quote(self.key)}"


def to_result(document: SuitesDocument) -> RunResult:
    """The session as a run: each test file is a check."""
    ordered = sorted(document.cases, key=lambda case: case.file)
    return RunResult(
        run_id=hashlib.sha256(document.started_at.isoformat().encode()).hexdigest()[:12],
        stack=document.stack,
        phase=document.phase,
        started_at=document.started_at,
        ended_at=document.ended_at,
        outcomes=tuple(_outcome(file, list(cases)) for file, cases in groupby(ordered, key=lambda case: case.file)),
        interrupted=document.interrupted,
    )


def _outcome(file: str, cases: Sequence[CaseDocument]) -> Outcome:
    return Outcome(
        check_id=file,
        title=next((case.about for case in cases if case.about), file),
        severity=Severity.HIGH,
        judgement=_judgement(file, cases),
        started_at=min(case.started_at for case in cases),
        # Tests of one file may run concurrently: the sum of their times is the cost.
        ended_at=min(case.started_at for case in cases) + timedelta(seconds=sum(case.duration_s for case in cases)),
    )


def _judgement(file: str, cases: Sequence[CaseDocument]) -> Judgement:
    """A failed test makes the file violated, an error inconclusive. If all tests were skipped, it does not apply."""
    by_ending = {ending: [case for case in cases if case.ending is ending] for ending in Ending}
    failed, errors, skipped = by_ending[Ending.FAILED], by_ending[Ending.ERROR], by_ending[Ending.SKIPPED]
    if failed:
        verdict, reason = Verdict.VIOLATED, ""
    elif errors:
        verdict, reason = Verdict.INCONCLUSIVE, _reasons(errors)
    elif len(skipped) == len(cases):
        verdict, reason = Verdict.NOT_APPLICABLE, _reasons(skipped)
    else:
        verdict, reason = Verdict.HOLDS, ""
    notes = [*(f"skipped: {_line(case)}" for case in skipped), *(f"error: {_line(case)}" for case in errors)]
    return Judgement(
        verdict=verdict,
        reason=reason,
        coverage=(Coverage(seen=len(by_ending[Ending.PASSED]), total=len(cases), unit="tests passed"),),
        notes=tuple(notes) if verdict is not Verdict.NOT_APPLICABLE else (),
        findings=tuple(_finding(file, case) for case in failed),
        findings_total=len(failed),
    )


def _reasons(cases: Sequence[CaseDocument]) -> str:
    return "; ".join(dict.fromkeys(_first_line(case.message) for case in cases))


def _line(case: CaseDocument) -> str:
    return f"{case.node.partition('::')[2]}: {_first_line(case.message)}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


def _finding(file: str, case: CaseDocument) -> FailedTest:
    lines = [line for line in case.message.splitlines() if line.strip()] or ["no message"]
    return FailedTest(
        check_id=file,
        severity=Severity.HIGH,
        key=clean(case.node),
        raw_key="",
        summary=lines[0],
        expected="the test passes",
        actual="it failed",
        next_step="",
        evidence={"output": "\n".join(lines)},
        fingerprint=hashlib.sha256(case.node.encode()).hexdigest()[:16],
        first_seen_at=case.started_at,
        confirmed_at=case.started_at + timedelta(seconds=case.duration_s),
    )
