"""`run`: the facade of a run, from a profile or its path."""

from __future__ import annotations

from pathlib import Path

import pytest

import verifier
from tests.verifier.commands.command_line import UNREACHABLE
from verifier.model.events import CheckFinished, RunFinished


def test_run_judges_a_stack(tmp_path: Path) -> None:
    """From a path or a profile, with events; unreachable stores are inconclusive."""
    path = tmp_path / "stack.toml"
    path.write_text(UNREACHABLE)
    events: list[verifier.Event] = []
    result = verifier.run(str(path), only=["USR-01"], on_event=events.append)
    assert [item.check_id for item in result.outcomes] == ["USR-01"]
    assert result.exit_code() is verifier.ExitCode.INCONCLUSIVE
    assert any(isinstance(event, CheckFinished) for event in events)
    assert isinstance(events[-1], RunFinished)
    again = verifier.run(verifier.load_profile(path), only=["USR-01"], phase="cutover")
    assert any(note.startswith("what-if") for note in again.notes)


def test_an_absent_profile_and_an_unknown_check_are_profile_errors(tmp_path: Path) -> None:
    """The message names what is unknown."""
    path = tmp_path / "stack.toml"
    with pytest.raises(verifier.ProfileError, match="no profile"):
        verifier.run(path)
    path.write_text(UNREACHABLE)
    with pytest.raises(verifier.ProfileError, match="ZZZ"):
        verifier.run(path, only=["ZZZ"])
