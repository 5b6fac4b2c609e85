"""The section of the scorecard: one line for each invariant. A case that was answered wrongly is a finding."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from reports.models.scorecard import ScorecardDocument
from verifier.checks.catalogue import load_checks
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import Coverage, Judgement, Outcome, RunResult, Verdict

BESIDE = "outside the cases"
_NAMES = {"V": "breaches found", "L": "look-alikes without a finding", "U": "unknowables admitted"}


def to_result(document: ScorecardDocument) -> RunResult:
    """The scorecard as a run: each invariant is a check, and what was reported outside the cases is one more."""
    outcomes = [
        _outcome(document, check.id, check.title, check.severity)
        for check in load_checks()
        if any(check.id in case.checks for case in document.cases)
    ]
    if others := (*document.false_alarms, *document.unexplained):
        findings = tuple(_finding(document, BESIDE, text) for text in others)
        judgement = Judgement(verdict=Verdict.VIOLATED, findings=findings, findings_total=len(findings))
        outcomes.append(_ended(document, BESIDE, "Reported without a cause", Severity.CRITICAL, judgement))
    return RunResult(
        run_id=hashlib.sha256(document.at.isoformat().encode()).hexdigest()[:12],
        stack=document.command,
        phase="scorecard",
        started_at=document.at - timedelta(seconds=document.took_s),
        ended_at=document.at,
        outcomes=tuple(outcomes),
        notes=tuple(f"not run: {name}: {why}" for name, why in document.not_run.items()),
    )


def _outcome(document: ScorecardDocument, check_id: str, title: str, severity: Severity) -> Outcome:
    mine = [case for case in document.cases if check_id in case.checks]
    wrong = [case for case in mine if not case.right]
    seconds = [case.detect_s for case in mine if case.letter == "V" and case.detect_s is not None]
    judgement = Judgement(
        verdict=Verdict.VIOLATED if wrong else Verdict.HOLDS,
        coverage=tuple(
            Coverage(seen=sum(case.right for case in cases), total=len(cases), unit=name)
            for letter, name in _NAMES.items()
            if (cases := [case for case in mine if case.letter == letter])
        ),
        notes=(f"detected at most {max(seconds):.1f} s after planting",) if seconds else (),
        findings=tuple(_finding(document, check_id, f"{case.id}: {case.said}") for case in wrong),
        findings_total=len(wrong),
    )
    return _ended(document, check_id, title, severity, judgement)


def _ended(document: ScorecardDocument, check_id: str, title: str, severity: Severity, judgement: Judgement) -> Outcome:
    return Outcome(
        check_id=check_id,
        title=title,
        severity=severity,
        judgement=judgement,
        started_at=document.at - timedelta(seconds=document.took_s),
        ended_at=document.at,
    )


def _finding(document: ScorecardDocument, check_id: str, text: str) -> Finding:
    return Finding(
        check_id=check_id,
        severity=Severity.CRITICAL,
        key=clean(text.partition(": ")[0]),
        raw_key="",
        summary=clean(text),
        expected="the answer that the catalogue of faults gives",
        actual=clean(text),
        next_step=f"{document.command} --only {check_id}" if check_id != BESIDE else document.command,
        evidence={"command": document.command},
        fingerprint=hashlib.sha256(f"{check_id}:{text}".encode()).hexdigest()[:16],
        first_seen_at=document.at,
        confirmed_at=document.at,
    )
