"""Every invariant of docs/checks.md holds on this stack.

One test per invariant, with the verdicts of the verifier's checks. `violated` fails with the findings; `inconclusive` is an
error unless the profile accepts it; `not_applicable` and pending checks are skipped with the reason.
"""

from __future__ import annotations

import pytest

from reports.labels import attach_outcome, label_check, titled_by_invariant
from suites.consistency.judged import JudgedRun, failure_text, why_not_judged
from verifier.checks.catalogue import load_checks
from verifier.checks.registry import Check
from verifier.model.verdict import Outcome, Verdict

CHECKS = load_checks()

# The run has time limits of its own from the profile; this one only ends a run that hangs.
pytestmark = [pytest.mark.xdist_group("consistency"), pytest.mark.timeout(3600)]


@pytest.fixture(params=[item.id for item in CHECKS])
def invariant(request: pytest.FixtureRequest) -> Check:
    """One invariant."""
    item = CHECKS[request.param]
    label_check(item)
    return item


@pytest.fixture
def outcome(invariant: Check, judged: JudgedRun) -> Outcome:
    """Its outcome. An inconclusive check ends here, as an error and not as a failure."""
    found = judged.outcome(invariant.id)
    if found is not None:
        attach_outcome(found)
    reason = why_not_judged(found)
    if reason is not None and invariant.id in judged.accepted:
        pytest.skip(f"{reason} (accepted: {judged.accepted[invariant.id]})")
    if reason is not None or found is None:
        pytest.fail(reason or "", pytrace=False)
    return found


@titled_by_invariant
def test_invariant(invariant: Check, outcome: Outcome) -> None:
    """The invariant holds, or its breach is waived."""
    if outcome.pending and outcome.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE):
        pytest.skip(f"pending, not accepted yet: {outcome.verdict.value}. See: verifier accept {invariant.id}")
    if outcome.verdict is Verdict.NOT_APPLICABLE:
        pytest.skip(outcome.judgement.reason)
    if outcome.verdict is Verdict.VIOLATED:
        pytest.fail(failure_text(invariant, outcome), pytrace=False)
