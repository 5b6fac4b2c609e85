"""Reading truncated and damaged column journals."""

from __future__ import annotations

from pathlib import Path

import pytest

from load.journal.layout import OK, SLOT_BYTES, Kind
from load.journal.reader import ColumnReader
from tests.load.journals import Send, record
from verifier.judges.journal import JournalError


def test_a_truncated_journal_is_read_up_to_its_end(tmp_path: Path) -> None:
    """After a killed recorder complete events count, an incomplete one does not, and `ended` is false."""
    path = tmp_path / "a.columns"
    record(path, [Send((0, 0), (OK,), 0)] * 3, [], [])
    whole = path.read_bytes()
    for size in range(len(whole) - 12 * SLOT_BYTES, len(whole)):
        cut = tmp_path / "cut.columns"
        cut.write_bytes(whole[:size])
        reader = ColumnReader(cut)
        events = sum(map(len, reader.batches()))
        assert not reader.ended
        assert reader.unfinished_bytes == size % SLOT_BYTES
        assert events <= 9
    reader = ColumnReader(path)
    assert sum(map(len, reader.batches())) == reader.events == 9
    assert reader.ended


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    """An event of an unknown kind, or fewer events than the end says, makes a journal unusable."""
    path = tmp_path / "a.columns"
    record(path, [Send((0, 0), (OK,), 0)], [], [])
    whole = path.read_bytes()
    at = next(at for at in range(0, len(whole), SLOT_BYTES) if whole[at] == Kind.ACK)
    for damaged, says in (
        (whole[:at] + b"\x20" + whole[at + 1 :], "no known kind"),
        (whole[:at] + whole[at + SLOT_BYTES :], "says that it holds"),
    ):
        other = tmp_path / "b.columns"
        other.write_bytes(damaged)
        with pytest.raises(JournalError, match=says):
            list(ColumnReader(other).batches())
