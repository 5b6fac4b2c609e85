"""What a verdict means for a test of the consistency suite, tried on a run made by hand."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from suites.consistency.judged import JudgedRun
from suites.consistency.sharing import once
from tests.reports.sessions import run_session
from tests.verifier.render.samples import mixed_result

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
    """One session over the run made by hand: what it printed, and where its files are."""

    output: str
    directory: Path


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The suite over the run made by hand, with every report."""
    directory = tmp_path_factory.mktemp("suite")
    chosen = " or ".join(f"[{name}]" for name in WANTED)
    reports = ("--report", str(directory / "report.html"), "--alluredir", str(directory / "allure"))
    answer = run_session(directory, {"conftest.py": CONFTEST, "test_suite.py": SUITE}, "-rA", "-k", chosen, *reports)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    return Session(answer.stdout, directory)


def test_each_verdict_has_its_ending(session: Session) -> None:
    """Holds and waived pass, violated fails, unknown and unjudged are errors, accepted and not applicable are skipped."""
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


def test_a_failure_tells_the_finding(session: Session) -> None:
    """Key, both values, evidence, the command to look again, how many more; and no traceback of ours."""
    output = session.output
    for told in (
        "MSG-01 is violated",
        "(row 'Chat messages' of docs/data-ownership.md; 12 found)",
        "chat.messages _id = 6741f0c2e7b1a2d3c4e5f607",
        "inserts 18 204 -> 18 205",
        "verifier recheck ",
        "next step: Find the writer",
    ):
        assert told in output
    assert "Traceback" not in output
    assert "pytest.fail(" not in output


def test_the_report_holds_the_run(session: Session) -> None:
    """The verifier's run stands beside the tests that it decided."""
    assert len(list(session.directory.glob("verifier-*.json"))) == 1
    page = (session.directory / "report.html").read_text()
    assert "Verifier: " in page
    assert "The invariants of a run made by hand." in page


def test_allure_knows_invariants(session: Session) -> None:
    """Named by ID and title, with severity, row and evidence, whatever the verdict."""
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


def test_workers_share_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second worker reads what the first has judged, accepted blindness and all; alone, everybody judges."""
    made: list[JudgedRun] = []

    def make() -> JudgedRun:
        made.append(JudgedRun(result=mixed_result(), accepted={"TOK-02": "nobody may tap"}))
        return made[-1]

    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    first = once(tmp_path, make)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    second = once(tmp_path, make)
    assert len(made) == 1
    assert second.accepted == first.accepted
    assert second.exit_code is first.exit_code
    assert [item.verdict for item in second.result.outcomes] == [item.verdict for item in first.result.outcomes]
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    once(tmp_path, make)
    assert len(made) == 2
