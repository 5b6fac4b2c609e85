"""`verifier doctor`: what it reports of a stack that cannot be reached."""

from __future__ import annotations

from pathlib import Path

from tests.verifier.commands.command_line import UNREACHABLE, verifier


def test_unreachable_stores_are_exit_code_2(tmp_path: Path) -> None:
    """Each role is reported as failed; no secret is shown."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("doctor", cwd=tmp_path)
    assert answer.returncode == 2, answer
    assert "FAILED" in answer.stdout
    assert "problems: the checks that need these stores will be inconclusive" in " ".join(answer.stdout.split())
    assert "s3cret" not in answer.stdout + answer.stderr
