"""The report of a run: verdict, numbers, exit code, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from load.report import account_for, write_json
from load.users.recorder import RunRecorder
from tests.load.rest_runs import TEXT, recorded, stored
from verifier.judges.journal import JournalError, JournalWriter
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import MessageRecorder
from verifier.model.verdict import ExitCode


def test_a_run_is_accounted_for(tmp_path: Path) -> None:
    """All delivered: 0. One lost and one duplicated: 1, and both are named. Not readable: 2."""
    whole = account_for([recorded(tmp_path / "a.columns", sends=2, stored=stored("r1.0.1", "r1.0.2"))], settle_s=0)
    assert whole.exit_code == ExitCode.HOLDS
    short = account_for([recorded(tmp_path / "b.columns", sends=2, stored=stored("r1.0.2", "r1.0.2"))], settle_s=0)
    assert short.exit_code == ExitCode.VIOLATED
    assert "2 lost" in short.to_text()
    assert "2 duplicated" in short.to_text()
    unreadable = account_for([recorded(tmp_path / "c.columns", sends=2, stored=[], broken=True)], settle_s=0)
    assert unreadable.exit_code == ExitCode.INCONCLUSIVE
    assert "4 unknown" in unreadable.to_text()
    unsent = account_for([recorded(tmp_path / "d.columns", sends=0, stored=[])], settle_s=0)
    assert unsent.exit_code == ExitCode.INCONCLUSIVE


@pytest.mark.parametrize(("delivered", "code"), [(True, ExitCode.HOLDS), (False, ExitCode.VIOLATED)])
def test_journals_of_earlier_versions_are_judged(tmp_path: Path, delivered: bool, code: ExitCode) -> None:
    """Runs over REST wrote JSON Lines once."""
    path = tmp_path / "load-r1-000.jsonl"
    journal = JournalWriter(path, run_id="r1", kind="load", stack="test")
    message_recorder = MessageRecorder(journal)
    sent = message_recorder.begin_send("a", marker="r1.0.1", conversation="si_a_b", receivers=("a", "b"), text=TEXT)
    message_recorder.end_send("a", sent, OpPhase.OK, message_id="id1")
    for user in ("a", "b"):
        read = message_recorder.begin_read(user, "si_a_b")
        if delivered:
            message_recorder.saw(
                user, marker="r1.0.1", conversation="si_a_b", text=TEXT, seq=1, message_id="id1", read=read
            )
        message_recorder.end_read(user, read, begin=1, end=1, complete=True)
    journal.close()
    assert account_for([path], settle_s=0).exit_code is code
    with pytest.raises(JournalError, match="two formats"):
        account_for([path, recorded(tmp_path / "a.columns", sends=0, stored=[])], settle_s=0)


def test_the_report_as_json(tmp_path: Path) -> None:
    """Numbers, verdicts and problems are readable by other tools."""
    account = account_for(
        [recorded(tmp_path / "a.columns", sends=1, stored=stored("r1.0.1", text="other"))], settle_s=0
    )
    write_json(account, tmp_path / "out" / "a.json")
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (report["exit_code"], report["delivery"]["deliveries"]["altered"]) == (1, 2)
    assert "read with another" in report["judgements"]["delivery"]["problems"][0]["summary"]


def test_journals_of_two_workers_are_one_run_and_of_two_runs_are_refused(tmp_path: Path) -> None:
    """The numbers of workers add up; two runs in one judgement would show losses that never happened."""
    both = stored("r1.0.1", "r1.1.1")
    paths = [recorded(tmp_path / f"{worker}.columns", sends=1, stored=both, worker=worker) for worker in (0, 1)]
    account = account_for(paths, settle_s=0)
    assert account.delivery is not None
    assert (account.delivery.sent, account.exit_code) == (2, ExitCode.HOLDS)
    other = RunRecorder(tmp_path / "x.columns", run_id="r2", worker=0, stack="test", text=TEXT)
    other.close()
    with pytest.raises(JournalError, match="belong to 2 runs"):
        account_for([*paths, other.path], settle_s=0)
    with pytest.raises(JournalError, match="no journal to judge"):
        account_for([], settle_s=0)
