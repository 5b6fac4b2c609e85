"""`verifier accept`: list and accept pending checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verifier.commands.command_line import UNREACHABLE, verifier
from verifier.checks.catalogue import load_checks
from verifier.history import History

pytestmark = pytest.mark.long


def test_pending_checks_are_listed_and_accepted(tmp_path: Path) -> None:
    """Without IDs they are listed; an accepted check is no longer pending."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE.replace("memory:", "history.db"))
    assert "nothing is pending" in verifier("accept", cwd=tmp_path).stdout
    with History.open(str(tmp_path / "history.db"), stack="nowhere") as history:
        history.accept(item.id for item in load_checks() if item.id not in ("USR-01", "USR-02"))
    listed = verifier("accept", cwd=tmp_path).stdout
    assert "pending: USR-01" in listed
    assert "pending: USR-02" in listed
    assert "accept with: verifier accept USR-0" in listed
    assert "accepted: USR-01" in verifier("accept", "USR-01", cwd=tmp_path).stdout
    assert "pending: USR-01" not in verifier("accept", cwd=tmp_path).stdout
    assert "accepted: USR-02" in verifier("accept", "--all", cwd=tmp_path).stdout


def test_an_unknown_check_is_exit_code_3(tmp_path: Path) -> None:
    """The message names the check."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("accept", "ZZZ-99", cwd=tmp_path)
    assert answer.returncode == 3
    assert "no check 'ZZZ-99'" in answer.stderr
