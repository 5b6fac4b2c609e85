"""`verifier history`: earlier runs and findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.verifier.commands.command_line import UNREACHABLE, verifier
from tests.verifier.history.samples import finding, one_run, violated
from verifier.history import History

pytestmark = pytest.mark.long


def test_runs_and_findings_are_listed(tmp_path: Path) -> None:
    """Runs with their counts, findings with their fingerprints; an empty history says so."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE.replace("memory:", "history.db"))
    assert "the history is empty" in verifier("history", cwd=tmp_path).stdout
    with History.open(str(tmp_path / "history.db"), stack="nowhere") as history:
        found = finding(history, "u1")
        one_run(history, "r1", violated([found]))
    assert "r1" in verifier("history", cwd=tmp_path).stdout
    assert found.fingerprint in verifier("history", "--findings", cwd=tmp_path).stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_hostile_keys_are_printed_as_they_are(tmp_path: Path, encoding: str) -> None:
    """Markup, links, emoji codes and line breaks in data are text, in every encoding of the terminal."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE.replace("memory:", "history.db"))
    with History.open(str(tmp_path / "history.db"), stack="nowhere") as history:
        found = replace(finding(history, "u1"), summary="[/red] [link=http://x]u[/link] :smile: ☃\nexit code 0")
        one_run(history, "r1", violated([found]))
    answer = verifier("history", "--findings", cwd=tmp_path, encoding=encoding)
    assert answer.returncode == 0, answer.stderr
    shown = "".join(answer.stdout.split())
    assert "[/red][link=http://x]u[/link]:smile:" in shown
    assert "\\nexitcode0" in shown
    assert verifier("history", cwd=tmp_path, encoding=encoding).returncode == 0
