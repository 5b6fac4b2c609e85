"""How a verdict becomes a test result in the consistency suite, on a run written by hand."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reports.sessions import run_session

CONFTEST = """
from dataclasses import replace

import pytest

from reports.plugin import record_run
from suites.consistency.judged import JudgedRun
from tests.verifier.render.samples import BACKDATED, holds, mixed_result, outcome, violated
from verifier.checks.catalogue import load_checks
from verifier.model.verdict import Coverage, Judgement, Verdict

ENDINGS = {
    "USR-01": holds(3, 3, "users"),
    "MSG-01": violated([BACKDATED], 12, coverage=Coverage(seen=9, unit="rows")),
    "TOK-01": Judgement.inconclusive("cache_redis cannot be reached"),
    "TOK-02": Judgement.inconclusive("no tap queue"),
    "MQ-02": Judgement.not_applicable("phase: applies from P3 frozen on"),
    "RPT-01": Judgement(verdict=Verdict.WAIVED, reason="waiver of ops until 2030-01-01: known"),
}

@pytest.fixture(scope="session")
def judged(request):
    checks = load_checks()
    outcomes = tuple(outcome(name, checks[name].title, checks[name].severity, item) for name, item in ENDINGS.items())
    run = JudgedRun(result=replace(mixed_result(), outcomes=outcomes), accepted={"TOK-02": "nobody may tap"})
    record_run(request, run.result, code=run.exit_code)
    return run
"""
SUITE = '''
"""The invariants of a run made by hand."""

from suites.consistency.test_invariants import invariant, outcome, test_invariant
'''
WANTED = ("USR-01", "MSG-01", "TOK-01", "TOK-02", "MQ-02", "RPT-01", "PRS-01")


@dataclass(frozen=True)
class Session:
    """One session on the run written by hand: its output, and the directory of its files."""

    output: str
    directory: Path


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The suite on the run written by hand, with all reports."""
    directory = tmp_path_factory.mktemp("suite")
    chosen = " or ".join(f"[{name}]" for name in WANTED)
    reports = ("--report", str(directory / "report.html"), "--alluredir", str(directory / "allure"))
    answer = run_session(directory, {"conftest.py": CONFTEST, "test_suite.py": SUITE}, "-rA", "-k", chosen, *reports)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    return Session(answer.stdout, directory)


def test_each_verdict_has_its_test_result(session: Session) -> None:
    """Holds and waived pass; violated fails; inconclusive and not judged are errors; accepted and not applicable are skipped."""
    output = session.output
    for ending, check_id in (
        ("PASSED", "USR-01"),
        ("PASSED", "RPT-01"),
        ("FAILED", "MSG-01"),
        ("ERROR", "TOK-01"),
        ("ERROR", "PRS-01"),
    ):
        assert re.search(rf"{ending} test_suite\.py::test_invariant\[{check_id}\]", output), output
    assert re.search(r"1 failed, 2 passed, 2 skipped, \d+ deselected, 2 errors", output), output
    assert "TOK-02 could not be judged: no tap queue (accepted: nobody may tap)" in output
    assert "phase: applies from P3 frozen on" in output
    assert "not judged: the run was interrupted before it" in output


def test_a_failure_shows_the_finding(session: Session) -> None:
    """Key, both values, evidence, the command for a recheck, and how many more; no traceback."""
    output = session.output
    for text in (
        "MSG-01 is violated",
        "(row 'Chat messages' of docs/data-ownership.md; 12 found)",
        "chat.messages _id = 6741f0c2e7b1a2d3c4e5f607",
        "inserts 18 204 -> 18 205",
        "verifier recheck ",
        "next step: Find the writer",
    ):
        assert text in output
    assert "Traceback" not in output
    assert "pytest.fail(" not in output


def test_the_report_contains_the_run(session: Session) -> None:
    """The verifier's run is in the report beside the tests that it decided."""
    assert len(list(session.directory.glob("verifier-*.json"))) == 1
    page = (session.directory / "report.html").read_text()
    assert "Verifier: " in page
    assert "The invariants of a run made by hand." in page


def test_allure_shows_invariants(session: Session) -> None:
    """By ID and title, with severity, row and evidence, for every verdict."""
    results = [json.loads(path.read_text()) for path in (session.directory / "allure").glob("*-result.json")]
    by_id = {result["name"].split()[0]: result for result in results}
    assert set(by_id) == set(WANTED)
    labels = {item["name"]: item["value"] for item in by_id["MSG-01"]["labels"]}
    assert labels["severity"] == "blocker"
    assert labels["feature"] == "Chat messages"
    assert labels["invariant"] == "MSG-01"
    texts = "".join(path.read_text() for path in (session.directory / "allure").glob("*-attachment.*"))
    assert "change stream" in texts
    assert "cache_redis cannot be reached" in texts
