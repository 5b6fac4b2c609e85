"""Creating column journals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.journals import writer
from verifier.judges.journal import JournalError


def test_a_journal_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    """The message does not say that a journal exists already."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(JournalError, match="cannot be created"):
        writer(tmp_path / "taken" / "run.columns")
