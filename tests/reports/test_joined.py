"""The joined report: parts are recognised and read, and make one page."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.joined import ReportError, newest_parts, read_part, write_joined
from reports.models.suites import Ending
from reports.runs import write_run
from tests.reports.parts import case, load_report, session
from tests.verifier.render.samples import mixed_result
from verifier.model.verdict import ExitCode


@pytest.mark.parametrize(("lost", "code"), [(False, ExitCode.HOLDS), (True, ExitCode.VIOLATED)])
def test_a_load_report_is_a_section(tmp_path: Path, lost: bool, code: ExitCode) -> None:
    """A lost message is a finding that is rechecked by judging the journal again."""
    section = read_part(load_report(tmp_path / "load-r.json", lost=lost))
    assert section.exit_code is code
    delivery = next(item for item in section.result.outcomes if item.check_id == "load-delivery")
    assert [item.recheck_command for item in delivery.judgement.findings] == [
        "python -m load judge reports/out/load-20260105T120000Z-*.jsonl"
    ] * lost


def test_the_joined_page(tmp_path: Path) -> None:
    """One page has all three parts, the headline is about the worst, and parts without common checks are not compared."""
    run = write_run(tmp_path, mixed_result(), ExitCode.VIOLATED)
    suites = tmp_path / "suites.json"
    failed = case("suites/journeys/test_x.py::test_a", Ending.FAILED, "lost m1")
    suites.write_text(session(failed).model_dump_json())
    load = load_report(tmp_path / "load-r.json", lost=False)
    assert newest_parts(tmp_path) == [run, suites, load]
    output = tmp_path / "deep" / "report.html"
    write_joined([run, suites, load], output)
    page = output.read_text()
    assert page.index("Verifier: ") < page.index("Suites: acme") < page.index("Load: acme")
    assert "invariants are violated</h1>" in page
    assert "Side by side" not in page
    assert "pytest suites/journeys/test_x.py::test_a" in page


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no"),
        ("{", "is not JSON"),
        ("[]", "unknown format"),
        ('{"format": "openim-ssot-verifier/run", "version": 2}', "is not a part of a report"),
        ('{"format": 1}', "run_id"),
        ("\xff", "not UTF-8"),
    ],
)
def test_a_file_that_is_not_a_part_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    """The message names the file, the fault and what would be right."""
    path = tmp_path / "part.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ReportError, match=says) as caught:
        read_part(path)
    assert "part.json" in str(caught.value)
