"""How an invariant looks in Allure: by row of the doc, with its severity, its ID and its evidence."""

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

# Published without types.
_dynamic: Any = allure.dynamic
_title: Any = allure.title
_SEVERITIES = {
    Severity.CRITICAL: allure.severity_level.BLOCKER,
    Severity.HIGH: allure.severity_level.CRITICAL,
    Severity.MEDIUM: allure.severity_level.NORMAL,
    Severity.INFO: allure.severity_level.MINOR,
}


def titled_by_invariant(test: Test) -> Test:
    """Decorate a test that takes an argument `invariant`, a check: reports then name it by ID and title."""
    # Allure sets a test's name after its fixtures, so that a title given from within one would be lost.
    named: Test = _title("{invariant.id} {invariant.title}")(test)
    return named


def label_check(item: Check) -> None:
    """Say what the running test is about; call it before anything can fail."""
    _dynamic.label("invariant", item.id)
    allure.attach(item.why, "why", AttachmentType.TEXT)
    _dynamic.severity(_SEVERITIES[item.severity])
    _dynamic.epic("One source of truth")
    _dynamic.feature(item.row)
    _dynamic.story(item.id)
    _dynamic.tag(item.id.partition("-")[0], f"from {item.phase.code}")


def attach_outcome(outcome: Outcome) -> None:
    """Attach what was covered, what was asked of the stores, and the evidence of each finding; nothing secret."""
    outcome = clean_outcome(outcome)
    judgement = outcome.judgement
    said = [outcome.verdict.value, judgement.reason, outcome.coverage_text, *judgement.notes]
    allure.attach("\n".join(line for line in said if line), "verdict", AttachmentType.TEXT)
    if judgement.queries:
        allure.attach("\n\n".join(judgement.queries), "what was asked of the stores", AttachmentType.TEXT)
    for finding in judgement.findings:
        evidence = {
            "key": finding.key,
            "summary": finding.summary,
            "expected": finding.expected,
            "actual": finding.actual,
            "first look": finding.first_seen_at.isoformat(),
            "second look": finding.confirmed_at.isoformat(),
            "look again": finding.recheck_command,
            "next step": finding.next_step,
            **finding.evidence,
        }
        text = json.dumps(evidence, indent=2, ensure_ascii=False)
        allure.attach(text, f"finding {finding.fingerprint}", AttachmentType.JSON)
