"""The reader of a column journal: events in batches, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from load.journal.layout import (
    EVENT,
    FORMAT,
    SLOT_BYTES,
    TEXT_BYTES,
    VERSION,
    Events,
    Kind,
)
from verifier.judges.journal import Header, JournalError
from verifier.judges.operation import WEBSOCKET

_BATCH_SLOTS: Final = 1 << 18
_TEXT_MAX_BYTES: Final = 64 << 20
_CLOCK_OFFSET_NOTED_NS: Final = 1_000_000


@dataclass(slots=True)
class Names:
    """The names behind the numbers in the events. `members` and `lanes` hold numbers of users and conversations."""

    users: list[str] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    members: list[tuple[int, ...]] = field(default_factory=list)
    lanes: list[tuple[int, int]] = field(default_factory=list)

    def take(self, line: dict[str, Any]) -> None:
        """Add a name from one line of text. Raises ValueError for a wrong number, KeyError for a line without a name."""
        if "user" in line and "id" in line:
            self.users.append(str(line["id"]))
            known, number = len(self.users), line["user"]
        elif "lane" in line:
            self.lanes.append((int(line["user"]), int(line["conversation"])))
            known, number = len(self.lanes), line["lane"]
        else:
            self.conversations.append(str(line["id"]))
            self.members.append(tuple(map(int, line["members"])))
            known, number = len(self.conversations), line["conversation"]
        if number != known - 1:
            raise ValueError("a name has the wrong number")


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the master's clock was ahead of a recorder's, and the error of that over the whole run."""

    offset_ns: int
    error_ns: int


class ColumnReader:
    """Reads a column journal. Raises JournalError for a file that is not one, or is damaged.

    `header`, `worker`, `channel` and `digest` are known at once. After all `batches` were read: `ended` says whether the
    recorder finished, `unfinished_bytes` is the size of an incomplete last slot, `events` is the number of events, and
    `names` and `clock` are complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = 0
        self.unfinished_bytes = 0
        self.ended = False
        self.names = Names()
        self._clocks: list[tuple[int, int]] = []
        self._last_ns = 0
        with _opened(path) as file:
            raw = _first_line(file)
        try:
            if raw["journal"] != FORMAT:
                raise KeyError("journal")
        except (KeyError, TypeError):
            raise JournalError(
                f"{path} is not a journal of a load run. Record one with: locust -f load/locustfile.py"
            ) from None
        if raw.get("version") != VERSION:
            raise JournalError(
                f"the journal {path} has format version {raw.get('version')!r}, this software reads {VERSION}. "
                "Update it, or record again."
            )
        try:
            self.worker = int(raw["worker"])
            self.digest = str(raw["digest"])
            # Journals of earlier versions have no channel: only runs over the WebSocket wrote columns.
            self.channel = str(raw.get("channel", WEBSOCKET))
            self.warm_up_s = float(raw["warm_up_s"])
            self.header = Header(
                run_id=str(raw["run_id"]),
                kind="load",
                stack=str(raw["stack"]),
                time_ns=int(raw["time_ns"]),
                monotonic_ns=int(raw["monotonic_ns"]),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(f"its header lacks {error}") from error

    @property
    def wall_shift_ns(self) -> int:
        """Turns this recorder's monotonic times into Unix time; the master's time, once `clock` is known."""
        offset_ns = self.clock.offset_ns if self.clock else 0
        return self.header.time_ns - self.header.monotonic_ns + offset_ns

    @property
    def clock(self) -> Clock | None:
        """The comparison with the master's clock; None where there was none, or before the batches were read."""
        if not self._clocks:
            return None
        # The interval that contains all comparisons: the offset may have changed between them.
        low = min(offset_ns - error_ns for offset_ns, error_ns in self._clocks)
        high = max(offset_ns + error_ns for offset_ns, error_ns in self._clocks)
        return Clock((low + high) // 2, (high - low + 1) // 2)

    @property
    def last_at(self) -> datetime:
        """When the last event was recorded; before the batches were read, when recording began."""
        at_ns = self._last_ns + self.wall_shift_ns if self._last_ns else self.header.time_ns
        return datetime.fromtimestamp(at_ns / 1e9, UTC)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on this file for a report, after its batches were read."""
        notes = []
        if self.unfinished_bytes:
            notes.append(f"the last event of {self.path.name} is incomplete and was ignored")
        if not self.ended:
            notes.append(f"the recorder of {self.path.name} did not finish: it is still running, or it was killed")
        if self.clock is not None and abs(self.clock.offset_ns) > max(self.clock.error_ns, _CLOCK_OFFSET_NOTED_NS):
            way = "behind" if self.clock.offset_ns > 0 else "ahead of"
            notes.append(
                f"the clock of {self.path.name} was {abs(self.clock.offset_ns) / 1e6:.1f} ms {way} the master's, plus or minus "
                f"{self.clock.error_ns / 1e6:.1f} ms: its times are corrected"
            )
        return tuple(notes)

    def batches(self) -> Iterator[Events]:
        """The events in the order of the file, without texts. `names` holds every name that a batch refers to."""
        self.events, self.unfinished_bytes, self.ended, self.names, self._clocks = 0, 0, False, Names(), []
        unread = b""
        with _opened(self.path) as file:
            while data := file.read(_BATCH_SLOTS * SLOT_BYTES):
                whole = len(data) // SLOT_BYTES * SLOT_BYTES
                self.unfinished_bytes = len(data) - whole
                slots = np.frombuffer(data, EVENT, whole // SLOT_BYTES)
                texts = np.flatnonzero(slots["kind"] == Kind.TEXT)
                if not len(texts):
                    yield self._counted(slots)
                    continue
                unread = self._take_texts(unread, data, texts)
                yield self._counted(slots[slots["kind"] != Kind.TEXT])
        if self.ended and self.events != self._end:
            raise self._damaged(f"it says that it holds {self._end} events, and it holds {self.events}")

    def _counted(self, events: Events) -> Events:
        if len(events):
            if int(events["kind"].max()) > Kind.POSITION or int(events["kind"].min()) < Kind.SEND:
                raise self._damaged("it has an event of no known kind")
            self.events += len(events)
            self._last_ns = int(events["at_ns"][-1])
        return events

    def _take_texts(self, unread: bytes, data: bytes, slots: Any) -> bytes:
        """Read the texts in these slots; returns the beginning of a line that continues in the next batch."""
        pieces = [unread]
        for slot in slots.tolist():
            piece = data[slot * SLOT_BYTES + 1 : slot * SLOT_BYTES + 1 + TEXT_BYTES]
            line, ended, _ = piece.partition(b"\n")
            pieces.append(line)
            if ended:
                self._take_line(b"".join(pieces))
                pieces.clear()
        return b"".join(pieces)

    def _take_line(self, text: bytes) -> None:
        try:
            line = json.loads(text)
            if "journal" in line:
                return
            if "end" in line:
                self.ended, self._end = True, int(line["end"])
                return
            if "clock" in line:
                self._clocks.append((int(line["clock"]), int(line["error_ns"])))
                return
            self.names.take(line)
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(f"a text cannot be read ({type(error).__name__})") from error

    def _damaged(self, why: str) -> JournalError:
        return JournalError(
            f"the journal {self.path} is damaged: {why}. The file was changed after it was written, or the disk "
            "failed; record again."
        )


def is_columns(path: Path) -> bool:
    """Whether a file is a column journal, by its first byte. Raises JournalError where it cannot be read."""
    with _opened(path) as file:
        return file.read(1) == b"\xff"


def _first_line(file: BinaryIO) -> Any:
    line = bytearray()
    while len(line) < _TEXT_MAX_BYTES:
        slot = file.read(SLOT_BYTES)
        if len(slot) < SLOT_BYTES or slot[0] != Kind.TEXT:
            return None
        piece, ended, _ = slot[1:].partition(b"\n")
        line += piece
        if ended:
            try:
                return json.loads(line)
            except ValueError:
                return None
    return None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}.") from error
