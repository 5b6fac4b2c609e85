"""`verifier explain`: with a profile, without one, and for a check that does not apply."""

from __future__ import annotations

from pathlib import Path

from tests.verifier.commands.command_line import UNREACHABLE, verifier


def test_without_a_profile_the_check_is_explained(tmp_path: Path) -> None:
    """Title and reason are printed; the queries need a profile."""
    answer = verifier("explain", "USR-01", cwd=tmp_path)
    assert answer.returncode == 0
    assert "USR-01" in answer.stdout
    assert "No profile at stack.toml" in answer.stdout


def test_with_a_profile_the_proofs_are_shown(tmp_path: Path) -> None:
    """Stores that cannot be reached are named; no secret is shown."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("explain", "USR-01", cwd=tmp_path)
    assert answer.returncode == 0, answer
    assert "Proof 1 of" in answer.stdout
    assert "s3cret" not in answer.stdout


def test_a_check_that_does_not_apply_says_why(tmp_path: Path) -> None:
    """Friends are not mirrored."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    assert "Not applicable on nowhere" in verifier("explain", "KEEP-03", cwd=tmp_path).stdout
