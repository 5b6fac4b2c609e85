"""The operations journal: what a canary, a journey or a load run did, one operation per line, to be judged afterwards.

Format, version 1: JSON Lines. The first line is the header and each further line an operation. The last line,
`{"end": N}`, says that the recorder finished and wrote N operations. Files are append-only and never overwritten. Every
operation is one `write(2)`, so a killed recorder loses at most the line that it was writing. `close` forces the file to the
disk; a power failure before that may lose more. Secrets are removed before anything is written.

Judges take any iterable of `Operation`. Another format needs a `Recorder` and a reader that yields operations.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, get_args

from verifier.judges.operation import OpPhase
from verifier.judges.redaction import redact_text, redact_value

FORMAT = "openim-ssot operations"
VERSION = 1
SUFFIX = ".jsonl"
LINE_MAX_BYTES = 1 << 20

Kind = Literal["canary", "load", "journey"]


class JournalError(Exception):
    """A journal cannot be written, read or judged. The text says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The first line: which run this is, and both clocks at the same moment."""

    run_id: str
    kind: Kind
    stack: str
    time_ns: int
    monotonic_ns: int

    @property
    def started_at(self) -> datetime:
        """When recording began."""
        return datetime.fromtimestamp(self.time_ns / 1e9, UTC)


class Recorder(Protocol):
    """Takes operations. An id joins an invocation with its completion and is unique within a recorder."""

    def invoke(self, process: str, op: str, /, **value: Any) -> str:
        """Record an invocation and return its id."""

    def complete(self, phase: OpPhase, process: str, op: str, call_id: str, /, **value: Any) -> None:
        """Record the completion of the invocation `call_id`."""

    def observe(self, process: str, op: str, /, **value: Any) -> None:
        """Record an observation that belongs to no invocation."""

    def close(self) -> None:
        """Finish. Recording afterwards is an error."""


class JournalWriter:
    """Writes a new journal at `path`. Safe for threads and, with gevent's patches, for greenlets.

    Raises JournalError if the file exists or cannot be created, or if the disk is full. After a failed write, the file ends
    with the last complete operation and the writer refuses further ones.
    """

    def __init__(self, path: Path, *, run_id: str, kind: Kind, stack: str) -> None:
        if kind not in get_args(Kind):
            raise JournalError(f"{kind!r} is not a kind of journal; use one of: {', '.join(get_args(Kind))}")
        self.path = path
        self.header = Header(
            run_id=run_id, kind=kind, stack=stack, time_ns=time.time_ns(), monotonic_ns=time.monotonic_ns()
        )
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._operations = 0
        self._size = 0
        self._failure: str | None = None
        self._fd: int | None = create_journal(path)
        try:
            self._append(
                {
                    "journal": FORMAT,
                    "version": VERSION,
                    "run_id": redact_text(run_id),
                    "kind": kind,
                    "stack": redact_text(stack),
                    "time_ns": self.header.time_ns,
                    "monotonic_ns": self.header.monotonic_ns,
                }
            )
        except JournalError:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def operations(self) -> int:
        """How many operations were recorded."""
        return self._operations

    def invoke(self, process: str, op: str, /, **value: Any) -> str:
        """Record an invocation and return the id that joins it with its completion."""
        call_id = str(next(self._ids))
        self._record(process, op, OpPhase.INVOKE, call_id, value)
        return call_id

    def complete(self, phase: OpPhase, process: str, op: str, call_id: str, /, **value: Any) -> None:
        """Record the completion of the invocation `call_id`: ok, fail, or info for an unknown outcome."""
        if phase is OpPhase.INVOKE:
            raise JournalError(
                f"{op} {call_id} of {process}: an operation completes with ok, fail or info, not with invoke"
            )
        self._record(process, op, phase, call_id, value)

    def observe(self, process: str, op: str, /, **value: Any) -> None:
        """Record an observation that belongs to no invocation."""
        self._record(process, op, OpPhase.OK, str(next(self._ids)), value)

    def close(self) -> None:
        """Write the end line and force the file to the disk. A second call does nothing."""
        if self._fd is None:
            return
        try:
            if self._failure is None:
                self._append({"end": self._operations})
            os.fsync(self._fd)
        except OSError as error:
            # A pipe or a device cannot be synchronised, and need not be.
            if error.errno not in (errno.EINVAL, errno.EROFS):
                raise JournalError(
                    f"the journal {self.path} could not be written to the disk: {error.strerror}. "
                    "Free the disk and record again."
                ) from error
        finally:
            os.close(self._fd)
            self._fd = None

    def _record(self, process: str, op: str, phase: OpPhase, call_id: str, value: Mapping[str, Any]) -> None:
        self._append(
            {
                "process": process,
                "op": op,
                "phase": phase.value,
                "id": call_id,
                "time_ns": time.time_ns(),
                "monotonic_ns": time.monotonic_ns(),
                "value": redact_value(dict(value)),
            },
            operations=1,
        )

    def _append(self, line: dict[str, Any], *, operations: int = 0) -> None:
        try:
            data = json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
        except (TypeError, ValueError) as error:
            raise JournalError(
                f"an operation of {self.path} cannot be written as JSON: {error}. "
                "Record only texts, numbers, lists and mappings."
            ) from error
        if len(data) > LINE_MAX_BYTES:
            raise JournalError(
                f"an operation of {len(data)} bytes exceeds the journal's limit of {LINE_MAX_BYTES}. Record a digest of long texts."
            )
        with self._lock:
            if self._fd is None:
                raise JournalError(f"the journal {self.path} is closed; no operation can be recorded")
            if self._failure is not None:
                raise JournalError(self._failure)
            self._write(self._fd, data)
            self._operations += operations

    def _write(self, fd: int, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError as error:
            if written:
                os.ftruncate(fd, self._size)
            self._failure = _write_failed(self.path, self._operations, error)
            raise JournalError(self._failure) from error
        self._size += len(data)


def create_journal(path: Path) -> int:
    """Create a file that only its owner may read, and return its descriptor. Raises JournalError, also if the file exists."""
    try:
        # If the parent is a file, `open` fails with its own errno.
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise JournalError(
            f"the journal {path} exists already, and journals are never overwritten. Name another file."
        ) from None
    except OSError as error:
        raise JournalError(
            f"the journal {path} cannot be created: {error.strerror}. Name a file in a directory that you may write to."
        ) from error


def _write_failed(path: Path, operations: int, error: OSError) -> str:
    cause = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or "write error"
    return (
        f"the journal {path} cannot be continued: {cause}. It ends with operation {operations}, which is complete; later ones "
        "are not recorded. Free the disk and record again."
    )
