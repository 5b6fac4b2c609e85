"""What the verifier, the suites and the load wrote is read back whole, and joined into one page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from load.report import account_for, write_json
from reports.__main__ import main
from reports.joined import ReportError, newest_parts, read_part, write_joined
from reports.models.suites import CaseDocument, Ending, SuitesDocument
from reports.runs import read_run, write_run
from reports.suites import to_result
from tests.verifier.render.samples import mixed_result
from verifier.judges.journal import JournalWriter
from verifier.judges.operation import OpPhase
from verifier.judges.scribe import Scribe
from verifier.model.verdict import ExitCode, Verdict
from verifier.render.json import to_json

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def case(node: str, ending: Ending, message: str = "", *, after_s: float = 0) -> CaseDocument:
    """One test that took a second."""
    return CaseDocument(
        node=node,
        about="Chats survive their move.",
        ending=ending,
        message=message,
        started_at=NOON + timedelta(seconds=after_s),
        duration_s=1,
    )


def session(*cases: CaseDocument, interrupted: bool = False) -> SuitesDocument:
    """A session of tests."""
    return SuitesDocument(
        stack="acme",
        phase="cutover",
        started_at=NOON,
        ended_at=NOON + timedelta(minutes=1),
        interrupted=interrupted,
        cases=cases,
    )


def load_report(path: Path, *, lost: bool) -> Path:
    """What a load run of one message leaves, lost or read back."""
    journal = JournalWriter(path.with_suffix(".jsonl"), run_id="20260105T120000Z", kind="load", stack="acme")
    scribe = Scribe(journal)
    sent = scribe.begin_send("a", marker="m1", conversation="si_a_b", text="hi", receivers=("b",))
    scribe.end_send("a", sent, OpPhase.OK, message_id="id1")
    read = scribe.begin_read("b", "si_a_b")
    if not lost:
        scribe.saw("b", marker="m1", conversation="si_a_b", text="hi", seq=1, message_id="id1", read=read)
    scribe.end_read("b", read, begin=1, end=1, complete=True)
    journal.close()
    write_json(account_for([path.with_suffix(".jsonl")], settle_s=0), path)
    return path


def test_a_run_is_read_back_whole(tmp_path: Path) -> None:
    """Written, read and written again it is the same document."""
    path = write_run(tmp_path, mixed_result(), ExitCode.VIOLATED)
    raw = json.loads(path.read_text())
    result, code = read_run(raw)
    assert to_json(result, exit_code=code) == raw


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
    """The worst ending decides, a file that was skipped whole does not apply, and how many passed is the coverage."""
    cases = [case(f"suites/journeys/test_x.py::test_{index}", item, "why") for index, item in enumerate(endings)]
    (outcome,) = to_result(session(*cases)).outcomes
    assert outcome.check_id == "journeys/test_x.py"
    assert outcome.title == "Chats survive their move."
    assert outcome.verdict is verdict
    passed = sum(item is Ending.PASSED for item in endings)
    assert outcome.coverage_text == f"{passed} of {len(endings)} tests passed"


def test_a_failed_test_is_told_like_a_finding() -> None:
    """Its message, its whole output, and the command that runs it again."""
    failed = case("suites/journeys/test_x.py::test_a[b c]", Ending.FAILED, "lost m1\n\ntest_x.py:12: AssertionError")
    (outcome,) = to_result(session(failed)).outcomes
    (finding,) = outcome.judgement.findings
    assert finding.summary == "lost m1"
    assert finding.recheck_command == "pytest 'suites/journeys/test_x.py::test_a[b c]'"
    assert "AssertionError" in finding.evidence["what it said"]


def test_an_interrupted_session_is_no_green() -> None:
    """What did not run is not known."""
    result = to_result(session(case("suites/a/test_a.py::test_a", Ending.PASSED), interrupted=True))
    assert result.exit_code() is ExitCode.INTERRUPTED


@pytest.mark.parametrize(("lost", "code"), [(False, ExitCode.HOLDS), (True, ExitCode.VIOLATED)])
def test_a_load_report_is_a_section(tmp_path: Path, lost: bool, code: ExitCode) -> None:
    """A lost message is a finding whose second look is the journal's judge."""
    section = read_part(load_report(tmp_path / "load-r.json", lost=lost))
    assert section.exit_code is code
    delivery = next(item for item in section.result.outcomes if item.check_id == "load-delivery")
    assert [item.recheck_command for item in delivery.judgement.findings] == [
        "python -m load judge reports/out/load-20260105T120000Z-*.jsonl"
    ] * lost


def contract(path: Path, *, reason: str) -> Path:
    """A parity table of one flow in which one of two cases differs."""
    difference = {"told": "a (/x): errCode = 1, recorded 0", "reason": reason}
    row = {
        "kind": "REST",
        "name": "f",
        "cases": 2,
        "equal": 1,
        "deviating": int(bool(reason)),
        "wrong": int(not reason),
        "differences": [difference],
        "healed": [],
    }
    at = "2026-01-05T12:00:00+00:00"
    document = {
        "format": "openim-ssot-verifier/contract",
        "version": 1,
        "server": "double",
        "started_at": at,
        "ended_at": at,
        "rows": [row],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(("reason", "code"), [("known", ExitCode.HOLDS), ("", ExitCode.VIOLATED)])
def test_a_parity_table_is_a_section(tmp_path: Path, reason: str, code: ExitCode) -> None:
    """What nobody declared is a finding; what was declared stands in the notes with its reason."""
    path = contract(tmp_path / "contract.json", reason=reason)
    assert newest_parts(tmp_path) == [path]
    section = read_part(path)
    (outcome,) = section.result.outcomes
    assert section.result.exit_code() is code
    assert [(one.seen, one.total) for one in outcome.judgement.coverage] == [(1, 2)]
    assert [one.summary for one in outcome.judgement.findings] == ["errCode = 1, recorded 0"] * (not reason)
    assert ("known" in " ".join(outcome.judgement.notes)) is bool(reason)


def test_the_joined_page(tmp_path: Path) -> None:
    """One page holds all three, speaks first of the worst, and compares nothing that has nothing in common."""
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
def test_what_is_no_part_is_told(tmp_path: Path, text: str | None, says: str) -> None:
    """The sentence names the file, the fault and what would be right."""
    path = tmp_path / "part.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ReportError, match=says) as caught:
        read_part(path)
    assert "part.json" in str(caught.value)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """0 and the path; 3 with nothing to join; 4 where the page cannot be written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["reports"])
    assert main() == ExitCode.USAGE
    assert "nothing to join" in capsys.readouterr().err
    path = write_run(tmp_path / "reports" / "out", mixed_result(), ExitCode.VIOLATED)
    assert main() == ExitCode.HOLDS
    assert "reports/out/report.html" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["reports", str(path), "--output", "/proc/report.html"])
    assert main() == ExitCode.UNDELIVERED
    assert "could not be written" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["reports", "--nope"])
    assert main() == ExitCode.USAGE
