"""`verifier recheck`: which findings can be checked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verifier.commands.command_line import UNREACHABLE, verifier
from tests.verifier.history.samples import finding, one_run, violated
from verifier.history import History

pytestmark = pytest.mark.long


def test_an_unknown_fingerprint_is_exit_code_3(tmp_path: Path) -> None:
    """The message says how to list findings."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("recheck", "0123abcd", cwd=tmp_path)
    assert answer.returncode == 3
    assert "verifier history --findings" in answer.stderr


def test_a_finding_of_a_check_that_is_not_loaded_is_exit_code_3(tmp_path: Path) -> None:
    """The message names the option that loads it."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE.replace("memory:", "history.db"))
    with History.open(str(tmp_path / "history.db"), stack="nowhere") as history:
        found = finding(history, "u1", check_id="X-GONE")
        one_run(history, "r1", violated([found], check_id="X-GONE"))
    answer = verifier("recheck", found.fingerprint, cwd=tmp_path)
    assert answer.returncode == 3
    assert "name its file with --checks" in answer.stderr


def test_an_unreachable_store_is_exit_code_2(tmp_path: Path) -> None:
    """The finding stays as it is."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE.replace("memory:", "history.db"))
    with History.open(str(tmp_path / "history.db"), stack="nowhere") as history:
        found = finding(history, '[0, "u1"]')
        one_run(history, "r1", violated([found]))
    answer = verifier("recheck", found.fingerprint, cwd=tmp_path)
    assert answer.returncode == 2, answer
    assert "inconclusive:" in answer.stdout
    with History.open(str(tmp_path / "history.db"), stack="nowhere") as history:
        assert [item.fingerprint for item in history.findings()] == [found.fingerprint]
