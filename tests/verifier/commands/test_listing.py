"""`verifier list`: all checks, and which of them apply to a stack."""

from __future__ import annotations

from pathlib import Path

from tests.verifier.commands.command_line import UNREACHABLE, verifier
from verifier.checks.catalogue import load_checks


def test_all_checks_are_listed(tmp_path: Path) -> None:
    """One line with the ID of every check."""
    listed = verifier("list", cwd=tmp_path).stdout
    assert all(item.id in listed for item in load_checks())


def test_with_a_profile_it_says_what_applies(tmp_path: Path) -> None:
    """A check of a later phase names its phase."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    words = " ".join(verifier("list", "--profile", "stack.toml", cwd=tmp_path).stdout.split())
    assert "applies" in words
    assert "phase:" in words
