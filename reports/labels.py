"""How an invariant appears in Allure: under its row of data-ownership.md, with its severity, ID and evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import allure
from allure_commons.types import AttachmentType

from verifier.checks.registry import Check
from verifier.model.invariant import Severity
from verifier.model.redact import clean_outcome
from verifier.model.verdict import Outcome

Test = TypeVar("Test", bound=Callable[..., None])

# allure has no types for these.
_dynamic: Any = allure.dynamic
_title: Any = allure.title
_SEVERITIES = {
    Severity.CRITICAL: allure.severity_level.BLOCKER,
    Severity.HIGH: allure.severity_level.CRITICAL,
    Severity.MEDIUM: allure.severity_level.NORMAL,
    Severity.INFO: allure.severity_level.MINOR,
}


def titled_by_invariant(test: Test) -> Test:
    """Decorate a test with an argument `invariant` (a check): reports show the test under its ID and title."""
    # Allure names a test after its fixtures have run, so a title set by a fixture would be lost.
    named: Test = _title("{invariant.id} {invariant.title}")(test)
    return named


def label_check(item: Check) -> None:
    """Label the running test with its invariant. Call it before anything can fail."""
    _dynamic.label("invariant", item.id)
    allure.attach(item.why, "why", AttachmentType.TEXT)
    _dynamic.severity(_SEVERITIES[item.severity])
    _dynamic.epic("One source of truth")
    _dynamic.feature(item.row)
    _dynamic.story(item.id)
    _dynamic.tag(item.id.partition("-")[0], f"from {item.phase.code}")


def attach_outcome(outcome: Outcome) -> None:
    """Attach the verdict with its coverage, the queries, and the evidence of each finding, without secrets."""
    outcome = clean_outcome(outcome)
    judgement = outcome.judgement
    lines = [outcome.verdict.value, judgement.reason, outcome.coverage_text, *judgement.notes]
    allure.attach("\n".join(line for line in lines if line), "verdict", AttachmentType.TEXT)
    if judgement.queries:
        allure.attach("\n\n".join(judgement.queries), "queries to the stores", AttachmentType.TEXT)
    for finding in judgement.findings:
        evidence = {
            "key": finding.key,
            "summary": finding.summary,
            "expected": finding.expected,
            "actual": finding.actual,
            "first pass": finding.first_seen_at.isoformat(),
            "second pass": finding.confirmed_at.isoformat(),
            "recheck": finding.recheck_command,
            "next step": finding.next_step,
            **finding.evidence,
        }
        text = json.dumps(evidence, indent=2, ensure_ascii=False)
        allure.attach(text, f"finding {finding.fingerprint}", AttachmentType.JSON)
