"""The writer of a column journal: events are collected in a buffer, which is written in batches.

A recorder that is killed loses at most the buffer: the sends in it are in no journal, and earlier sends that were still
unanswered stay open, which judges classify as unknown.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from load.journal.layout import FORMAT, PACKED, SLOT_BYTES, VERSION, Events, text_slots
from verifier.judges.journal import Header, JournalError, create_journal
from verifier.judges.operation import WEBSOCKET
from verifier.judges.redaction import redact_text

_BATCH_EVENTS: Final = 8_192


class ColumnWriter:
    """Writes a new journal at `path`; for one thread at a time. Every method may raise JournalError.

    After a failed write the file ends with the last complete event, and every further write fails.
    """

    def __init__(
        self,
        path: Path,
        *,
        run_id: str,
        stack: str,
        worker: int,
        digest: str,
        warm_up_s: float = 1.5,
        channel: str = WEBSOCKET,
    ) -> None:
        """`digest` is that of every message's text; see `layout` for `channel`."""
        self.path = path
        self.header = Header(
            run_id=run_id, kind="load", stack=stack, time_ns=time.time_ns(), monotonic_ns=time.monotonic_ns()
        )
        self.events = 0
        self._size = 0
        self._failure: str | None = None
        self._buffer = bytearray(SLOT_BYTES * _BATCH_EVENTS)
        self._used = 0
        self._users: dict[str, int] = {}
        self._conversations: dict[str, int] = {}
        self._lanes: dict[tuple[int, int], int] = {}
        self._connections = 0
        self._reads = 0
        self._fd: int | None = create_journal(path)
        self._text(
            {
                "journal": FORMAT,
                "version": VERSION,
                "run_id": redact_text(run_id),
                "stack": redact_text(stack),
                "worker": worker,
                "digest": digest,
                "channel": channel,
                "warm_up_s": warm_up_s,
                "time_ns": self.header.time_ns,
                "monotonic_ns": self.header.monotonic_ns,
            }
        )

    # names

    def user(self, user_id: str) -> int:
        """The number of a user; events refer to users by number."""
        known = self._users.get(user_id)
        if known is None:
            known = self._users[user_id] = len(self._users)
            self._text({"user": known, "id": user_id})
        return known

    def conversation(self, conversation_id: str, members: Sequence[str]) -> int:
        """The number of a conversation; `members` are all who must be able to read it."""
        known = self._conversations.get(conversation_id)
        if known is None:
            numbers = [self.user(member) for member in members]
            known = self._conversations[conversation_id] = len(self._conversations)
            self._text({"conversation": known, "id": conversation_id, "members": numbers})
        return known

    def lane(self, user: int, conversation: int) -> int:
        """The number of one sender in one conversation."""
        known = self._lanes.get((user, conversation))
        if known is None:
            known = self._lanes[user, conversation] = len(self._lanes)
            self._text({"lane": known, "user": user, "conversation": conversation})
        return known

    def clock(self, offset_ns: int, error_ns: int) -> None:
        """Record the offset of the master's clock from this one, and the error of that measurement."""
        self._text({"clock": offset_ns, "error_ns": error_ns})

    def next_connection(self) -> int:
        """A number for one more connection."""
        self._connections += 1
        return self._connections - 1

    def next_read(self) -> int:
        """A number for one more read-back."""
        self._reads += 1
        return self._reads - 1

    # events

    def event(
        self,
        kind: int,
        at_ns: int,
        who: int,
        number: int,
        phase: int = 0,
        code: int = 0,
        a: int = 0,
        b: int = 0,
    ) -> None:
        """Record one event; see the table in `layout`."""
        used = self._used
        PACKED.pack_into(self._buffer, used, kind, phase, code, who, number, at_ns, a, b)
        used += SLOT_BYTES
        self._used = used
        self.events += 1
        if used == len(self._buffer):
            self.flush()

    def append(self, events: Events) -> None:
        """Record many events at once."""
        self.flush()
        self._write(memoryview(events.tobytes()))
        self.events += len(events)

    def flush(self) -> None:
        """Write the buffer to the file."""
        if self._used:
            used, self._used = self._used, 0
            self._write(memoryview(self._buffer)[:used])

    def close(self) -> None:
        """Write the end and synchronise the file to the disk. A second call does nothing."""
        if self._fd is None:
            return
        try:
            if self._failure is None:
                self.flush()
                self._text({"end": self.events})
            os.fsync(self._fd)
        except OSError as error:
            raise JournalError(
                f"the journal {self.path} could not be synchronised to the disk: {error.strerror}. "
                "Free the disk and record again."
            ) from error
        finally:
            os.close(self._fd)
            self._fd = None

    def _text(self, line: dict[str, object]) -> None:
        # Events that are buffered come first, so that a name precedes its first event.
        self.flush()
        self._write(memoryview(text_slots(json.dumps(line, separators=(",", ":")).encode("ascii"))))

    def _write(self, data: memoryview) -> None:
        if self._fd is None:
            raise JournalError(f"the journal {self.path} is closed; nothing more can be recorded")
        if self._failure is not None:
            raise JournalError(self._failure)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            # Keep complete slots alone, so that a reader can read all of the file.
            os.ftruncate(self._fd, self._size)
            cause = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
            self._failure = (
                f"the journal {self.path} cannot be continued: {cause or 'write error'}. What came after its last "
                "complete batch is not recorded. Free the disk and record again."
            )
            raise JournalError(self._failure) from error
        self._size += len(data)
