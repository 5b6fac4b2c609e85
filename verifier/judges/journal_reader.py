"""Reads journals line by line, in bounded memory. An incomplete last line, as a killed recorder leaves it, is accepted."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from verifier.judges.journal import FORMAT, LINE_MAX_BYTES, SUFFIX, VERSION, Header, JournalError, Kind
from verifier.judges.operation import Operation, OpPhase


class JournalReader:
    """Reads a journal line by line, in bounded memory. `header` is available at once; iterate for the operations.

    After an iteration, `ended` says whether the recorder finished, `unfinished_bytes` is the length of an incomplete last
    line, `operations` is the number of operations, and `last_at` is the time of the last one. A damaged line before the end
    raises JournalError, because such a file cannot be judged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.operations = 0
        self.unfinished_bytes = 0
        self.ended = False
        self._last_ns = 0
        with _opened(path) as file:
            self.header = self._header(file.readline(LINE_MAX_BYTES + 1))
        self._last_ns = self.header.time_ns

    @property
    def last_at(self) -> datetime:
        """When the last operation was recorded. Before an iteration, when recording began."""
        return datetime.fromtimestamp(self._last_ns / 1e9, UTC)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the report about this file, after an iteration."""
        notes = []
        if self.unfinished_bytes:
            notes.append(
                f"the last line of {self.path.name} is unfinished ({self.unfinished_bytes} bytes) and was ignored"
            )
        if not self.ended:
            notes.append(f"the recorder of {self.path.name} did not finish: it is still running, or it was killed")
        return tuple(notes)

    def __iter__(self) -> Iterator[Operation]:
        self.operations, self.unfinished_bytes, self.ended = 0, 0, False
        with _opened(self.path) as file:
            file.readline(LINE_MAX_BYTES + 1)
            for number in itertools.count(2):
                line = file.readline(LINE_MAX_BYTES + 1)
                if not line:
                    return
                if not line.endswith(b"\n"):
                    if len(line) > LINE_MAX_BYTES:
                        raise self._damaged(number, "it is too long")
                    self.unfinished_bytes = len(line)
                    return
                if self.ended:
                    raise self._damaged(number, "it follows the end line")
                operation = self._operation(line, number)
                if operation is not None:
                    self.operations += 1
                    self._last_ns = operation.time_ns
                    yield operation

    def _operation(self, line: bytes, number: int) -> Operation | None:
        try:
            raw = json.loads(line)
            if "end" in raw:
                self.ended = True
                if raw["end"] != self.operations:
                    raise self._damaged(
                        number, f"it counts {raw['end']} operations, the file contains {self.operations}"
                    )
                return None
            return Operation(
                process=str(raw["process"]),
                op=str(raw["op"]),
                phase=OpPhase(raw["phase"]),
                id=str(raw["id"]),
                time_ns=int(raw["time_ns"]),
                monotonic_ns=int(raw["monotonic_ns"]),
                value=dict(raw["value"]),
                line=number,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(number, f"it is not an operation ({type(error).__name__})") from error

    def _damaged(self, number: int, why: str) -> JournalError:
        return JournalError(
            f"line {number} of the journal {self.path} is damaged: {why}. The file was changed after it was written, "
            "or the disk failed; record again."
        )

    def _header(self, line: bytes) -> Header:
        try:
            raw = json.loads(line)
            if raw["journal"] != FORMAT:
                raise KeyError("journal")
        except (ValueError, KeyError, TypeError):
            raise JournalError(
                f"{self.path} is not a journal: its first line is not a header. Record one with: python -m suites.canary"
            ) from None
        if raw.get("version") != VERSION:
            raise JournalError(
                f"the journal {self.path} has format version {raw.get('version')!r}, this software reads {VERSION}. "
                "Update it, or record again."
            )
        try:
            return Header(
                run_id=str(raw["run_id"]),
                kind=raw["kind"],
                stack=str(raw["stack"]),
                time_ns=int(raw["time_ns"]),
                monotonic_ns=int(raw["monotonic_ns"]),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(1, f"the header lacks {error}") from error


def find_journal(place: Path, kind: Kind = "canary") -> Path | None:
    """The newest journal of a kind at `place`: a file, or a directory with files `<kind>-*.jsonl`. None if there is none."""
    return next(iter(journals(place, kind)), None)


def journals(place: Path, kind: Kind = "canary") -> list[Path]:
    """All journals of a kind at `place` (see `find_journal`), the newest first."""
    if place.is_dir():
        found = place.glob(f"{kind}-*{SUFFIX}")
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    return [place] if place.exists() else []


def merged(readers: Sequence[JournalReader]) -> Iterator[Operation]:
    """The operations of several recorders of one run, one file after the other.

    Ids are made unique. The read-backs of a recorder cover only its own messages, so a conversation of two recorders counts
    as two. The monotonic clocks of several processes cannot be compared, so each is shifted to the wall clock of its header;
    the result is as accurate as the machines' clocks agree.
    """
    if len(readers) == 1:
        yield from readers[0]
        return
    for number, reader in enumerate(readers, 1):
        shift_ns = reader.header.time_ns - reader.header.monotonic_ns
        for operation in reader:
            value = dict(operation.value)
            if "read" in value:
                value["read"] = f"{number}.{value['read']}"
            if "conversation" in value:
                value["conversation"] = f"{value['conversation']} (recorder {number})"
            yield replace(
                operation,
                id=f"{number}.{operation.id}",
                monotonic_ns=operation.monotonic_ns + shift_ns,
                value=value,
            )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}.") from error
