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
    assert "problems: the checks concerned will be inconclusive" in " ".join(answer.stdout.split())
    assert "s3cret" not in answer.stdout + answer.stderr


def test_critical_invariants_that_nothing_maps_are_named(tmp_path: Path) -> None:
    """They are problems until `[absent]` says that the stack has no such thing."""
    profile = tmp_path / "stack.toml"
    profile.write_text(UNREACHABLE)
    assert "TOK-06 will not be judged" in " ".join(verifier("doctor", cwd=tmp_path).stdout.split())
    profile.write_text(UNREACHABLE + '[absent]\n"searched_for_tokens" = "all tables are encrypted"\n')
    answer = " ".join(verifier("doctor", cwd=tmp_path).stdout.split())
    assert "all tables are encrypted" in answer
    assert "MISSING not mapped: searched_for_tokens" not in answer


def test_names_that_no_check_reads_are_exit_code_3(tmp_path: Path) -> None:
    """A misspelt relation is refused with the name that was meant."""
    (tmp_path / "stack.toml").write_text(
        UNREACHABLE
        + '[relations.grups]\nrole = "user_db"\ntable = "t"\nkey = "group_id"\ncolumns = { group_id = "id" }\n'
    )
    answer = verifier("doctor", cwd=tmp_path)
    assert answer.returncode == 3, answer
    assert "relations.grups" in answer.stderr
    assert "Traceback" not in answer.stderr
