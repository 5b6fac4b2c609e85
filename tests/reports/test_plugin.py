"""`--report`: the results of the tests, from one process or several, without a change to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.models.suites import Ending, SuitesDocument
from tests.reports.sessions import run_session

pytestmark = pytest.mark.long

SESSION = '''
"""Every way to end."""

import pytest

@pytest.fixture
def broken():
    raise OSError("no store")

@pytest.fixture
def leaky():
    yield
    raise OSError("left open")

def test_passes():
    pass

def test_fails():
    assert 1 == 2, "one is not two"

def test_cannot_know(broken):
    pass

def test_skipped():
    pytest.skip("canary off")

def test_tears_down_badly(leaky):
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
'''


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_every_ending_is_recorded(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Each test once, with its worst ending and the reason; the page is written beside the JSON file."""
    out = tmp_path / "out" / "report.html"
    answer = run_session(tmp_path, {"test_session.py": SESSION}, "--report", str(out), *workers)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"report: {out}" in answer.stdout
    document = SuitesDocument.model_validate_json((out.parent / "suites.json").read_text())
    endings = {item.node.rpartition("::")[2]: item.ending for item in document.cases}
    assert endings == {
        "test_passes": Ending.PASSED,
        "test_fails": Ending.FAILED,
        "test_cannot_know": Ending.ERROR,
        "test_skipped": Ending.SKIPPED,
        "test_tears_down_badly": Ending.ERROR,
        "test_known": Ending.SKIPPED,
    }
    assert {item.about for item in document.cases} == {"Every way to end."}
    messages = {item.node.rpartition("::")[2]: item.message for item in document.cases}
    assert "one is not two" in messages["test_fails"].splitlines()[0]
    assert messages["test_skipped"] == "canary off"
    assert "no store" in messages["test_cannot_know"]
    assert "one is not two" in out.read_text()


def test_without_the_option_nothing_is_written(tmp_path: Path) -> None:
    """Without `--report` there is no report."""
    before = {"test_session.py"}
    run_session(tmp_path, {"test_session.py": SESSION})
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == before


def test_a_report_that_cannot_be_written_does_not_change_the_exit_code(tmp_path: Path) -> None:
    """The session ends as its tests did, and prints why there is no report."""
    answer = run_session(
        tmp_path, {"test_session.py": "def test_passes():\n    pass\n"}, "--report", "/proc/nowhere/report.html"
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "could not be written" in answer.stdout


def test_a_broken_load_result_is_reported(tmp_path: Path) -> None:
    """A truncated load result prevents the page, but does not change the result of the tests."""
    (tmp_path / "load-x.json").write_text("{")
    answer = run_session(
        tmp_path, {"test_session.py": "def test_passes():\n    pass\n"}, "--report", str(tmp_path / "report.html")
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "load-x.json is not JSON" in answer.stdout
