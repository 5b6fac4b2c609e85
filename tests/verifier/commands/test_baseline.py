"""`verifier baseline`: exit codes, and what it stores."""

from __future__ import annotations

from pathlib import Path

from tests.verifier.commands.command_line import UNREACHABLE, verifier
from verifier.history import History, RunKind, RunState


def test_unreachable_stores_are_exit_code_2(tmp_path: Path) -> None:
    """The checks without a baseline are named, and the history has a finished baseline without watermarks."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE.replace("memory:", "history.db"))
    answer = verifier("baseline", "--only", "USR-08", cwd=tmp_path)
    assert answer.returncode == 2, answer
    assert "0 checks baselined" in answer.stdout
    assert "no baseline: USR-08" in answer.stdout
    with History.open(str(tmp_path / "history.db"), stack="nowhere") as history:
        assert [(run.kind, run.state) for run in history.runs()] == [(RunKind.BASELINE, RunState.FINISHED)]
        assert history.watermarks() == []


def test_checks_without_a_baseline_are_exit_code_0(tmp_path: Path) -> None:
    """USR-01 compares two stores and needs no baseline."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("baseline", "--only", "USR-01", cwd=tmp_path)
    assert answer.returncode == 0, answer
    assert "0 checks baselined (none)" in answer.stdout
