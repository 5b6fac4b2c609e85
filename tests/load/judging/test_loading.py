"""Loading the journals of a run into arrays."""

from __future__ import annotations

from pathlib import Path

import pytest

from load.journal.layout import OK, Kind, message_number
from load.journal.reader import ColumnReader
from load.judging.loading import load_run
from tests.load.journals import writer
from verifier.judges.journal import JournalError


def test_two_sends_with_one_number_are_refused(tmp_path: Path) -> None:
    """Their receptions could not be distinguished."""
    path = tmp_path / "a.columns"
    journal = writer(path)
    for _ in range(2):
        journal.event(Kind.SEND, 5, journal.lane(0, 0), message_number(0, 1), a=5)
    journal.close()
    with pytest.raises(JournalError, match="belongs to two sends"):
        load_run([ColumnReader(path)])


def test_sends_that_a_killed_recorder_did_not_write_cause_no_problem(tmp_path: Path) -> None:
    """A message of another worker that is not in its truncated journal is counted, and not called unexpected."""
    for worker in (0, 1):
        journal = writer(tmp_path / f"{worker}.columns", worker)
        if worker == 0:
            journal.event(Kind.PUSHED, 9, 0, message_number(1, 7), OK, 0, 1, 1)
            journal.close()
        else:
            journal.flush()
    run = load_run([ColumnReader(tmp_path / f"{worker}.columns") for worker in (0, 1)])
    assert (run.unwritten, len(run.received)) == (1, 0)
