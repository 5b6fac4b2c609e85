"""Reading a column journal: in batches for the judges of whole runs, or one `Operation` after the other."""

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

_BATCH_SLOTS: Final = 1 << 18
_TEXT_MAX_BYTES: Final = 64 << 20
_CLOCK_WORTH_TELLING_NS: Final = 1_000_000


@dataclass(slots=True)
class Names:
    """What the numbers in the events stand for, by number. `members` and `lanes` hold numbers again."""

    users: list[str] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    members: list[tuple[int, ...]] = field(default_factory=list)
    lanes: list[tuple[int, int]] = field(default_factory=list)

    def take(self, line: dict[str, Any]) -> None:
        """Learn from one line of text. Raises ValueError for one out of turn, KeyError for one that is no name."""
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
            raise ValueError("a name stands out of turn")


@dataclass(frozen=True, slots=True)
class Clock:
    """How far a recorder's clock was from its master's: what to add, and how wrong that may be at any time of the run."""

    offset_ns: int
    error_ns: int


class ColumnReader:
    """Reads a column journal in bounded memory. `header` and `worker` are known at once.

    After `batches` was walked through, `ended` says whether the recorder finished, `unfinished_bytes` how much of a
    last slot a killed recorder left, `events` how many there were, and `names` is complete.
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
                f"{path} is no journal of load. Record one with: locust -f load/locustfile.py --transport ws"
            ) from None
        if raw.get("version") != VERSION:
            raise JournalError(
                f"the journal {path} has format version {raw.get('version')!r}, this software reads {VERSION}. "
                "Update it, or record again."
            )
        try:
            self.worker = int(raw["worker"])
            self.digest = str(raw["digest"])
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
        """What turns this recorder's monotonic times into Unix time: its master's, where that was asked, and this was read."""
        offset_ns = self.clock.offset_ns if self.clock else 0
        return self.header.time_ns - self.header.monotonic_ns + offset_ns

    @property
    def clock(self) -> Clock | None:
        """What was found when the clocks were compared; None where they were not, or nothing was read yet."""
        if not self._clocks:
            return None
        # It may have moved between the comparisons, and so far.
        low = min(offset_ns - error_ns for offset_ns, error_ns in self._clocks)
        high = max(offset_ns + error_ns for offset_ns, error_ns in self._clocks)
        return Clock((low + high) // 2, (high - low + 1) // 2)

    @property
    def last_at(self) -> datetime:
        """When the last event was recorded; before any was read, when the recording began."""
        at_ns = self._last_ns + self.wall_shift_ns if self._last_ns else self.header.time_ns
        return datetime.fromtimestamp(at_ns / 1e9, UTC)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report must say of this file, after it was read."""
        notes = []
        if self.unfinished_bytes:
            notes.append(f"the last event of {self.path.name} is unfinished and left out")
        if not self.ended:
            notes.append(f"the recorder of {self.path.name} did not finish: it is still running, or it was killed")
        if self.clock is not None and abs(self.clock.offset_ns) > max(self.clock.error_ns, _CLOCK_WORTH_TELLING_NS):
            way = "behind" if self.clock.offset_ns > 0 else "ahead of"
            notes.append(
                f"the clock of {self.path.name} was {abs(self.clock.offset_ns) / 1e6:.1f} ms {way} the master's, give or take "
                f"{self.clock.error_ns / 1e6:.1f} ms: its times are corrected"
            )
        return tuple(notes)

    def batches(self) -> Iterator[Events]:
        """The events in the order of the file, texts left out; names are known when an event that needs them comes."""
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
            raise self._damaged(f"it says that it holds {self._end} events and holds {self.events}")

    def _counted(self, events: Events) -> Events:
        if len(events):
            if int(events["kind"].max()) > Kind.POSITION or int(events["kind"].min()) < Kind.SEND:
                raise self._damaged("an event of no known kind")
            self.events += len(events)
            self._last_ns = int(events["at_ns"][-1])
        return events

    def _take_texts(self, unread: bytes, data: bytes, slots: Any) -> bytes:
        """Learn the names in these slots; returns what belongs to a line that goes on in the next batch."""
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
            raise self._damaged(f"a name that cannot be read ({type(error).__name__})") from error

    def _damaged(self, why: str) -> JournalError:
        return JournalError(
            f"the journal {self.path} is damaged: {why}. The file was changed after it was written, or the disk "
            "failed; record again."
        )


def is_columns(path: Path) -> bool:
    """Whether a file is a column journal, by its first bytes. Raises JournalError where it cannot be read."""
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
