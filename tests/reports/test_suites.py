"""The section of a session of tests."""

from __future__ import annotations

import pytest

from reports.models.suites import Ending
from reports.suites import to_result
from tests.reports.parts import case, session
from verifier.model.verdict import ExitCode, Verdict


@pytest.mark.parametrize(
    ("endings", "verdict"),
    [
        ((Ending.PASSED, Ending.PASSED), Verdict.HOLDS),
        ((Ending.PASSED, Ending.SKIPPED), Verdict.HOLDS),
        ((Ending.PASSED, Ending.ERROR), Verdict.INCONCLUSIVE),
        ((Ending.PASSED, Ending.ERROR, Ending.FAILED), Verdict.VIOLATED),
        ((Ending.SKIPPED, Ending.SKIPPED), Verdict.NOT_APPLICABLE),
    ],
)
def test_a_file_of_tests_has_a_verdict(endings: tuple[Ending, ...], verdict: Verdict) -> None:
    """The worst ending decides. A file with all tests skipped does not apply. The coverage is the number of tests passed."""
    cases = [case(f"suites/journeys/test_x.py::test_{index}", item, "why") for index, item in enumerate(endings)]
    (outcome,) = to_result(session(*cases)).outcomes
    assert outcome.check_id == "journeys/test_x.py"
    assert outcome.title == "Chats survive their move."
    assert outcome.verdict is verdict
    passed = sum(item is Ending.PASSED for item in endings)
    assert outcome.coverage_text == f"{passed} of {len(endings)} tests passed"


def test_a_failed_test_is_a_finding() -> None:
    """With its message, its whole output, and the command that runs it again."""
    failed = case("suites/journeys/test_x.py::test_a[b c]", Ending.FAILED, "lost m1\n\ntest_x.py:12: AssertionError")
    (outcome,) = to_result(session(failed)).outcomes
    (finding,) = outcome.judgement.findings
    assert finding.summary == "lost m1"
    assert finding.recheck_command == "pytest 'suites/journeys/test_x.py::test_a[b c]'"
    assert "AssertionError" in finding.evidence["output"]


def test_an_interrupted_session_does_not_succeed() -> None:
    """Tests that did not run have no result."""
    result = to_result(session(case("suites/a/test_a.py::test_a", Ending.PASSED), interrupted=True))
    assert result.exit_code() is ExitCode.INTERRUPTED
