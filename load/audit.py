"""Reading a run's messages back once more, hours later: was what was acknowledged stored for good, or only cached?

OpenIM answers from its cache for a day. What its queue lost on the way to the database is acknowledged, pushed, read back at the end of
the run, and gone the day after (trap T16). What is read now goes into one more journal of the run, so that the judges of the
run judge it too: what stood there at the run's end and does not now was lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

from fixtures.clients.openim_calls import OpenIMError
from load.engine.frames import ID_CHARS, TAG_CHARS, WORKER_CHARS
from load.engine.plan import tag_of
from load.journal.layout import INFO, OK, SUFFIX, Kind, message_number
from load.journal.reader import ColumnReader, is_columns
from load.journal.writer import ColumnWriter
from load.users.openim import OpenIMApi, Stored
from verifier.judges.journal import JournalError
from verifier.judges.recorder import digest


@dataclass(slots=True)
class _Recorded:
    """Who could read which conversation, and from which seq on the run wrote there."""

    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    begin: dict[str, int] = field(default_factory=dict)


def reread(paths: Sequence[Path], api: OpenIMApi) -> Path:
    """Read everything back as each member; returns the new journal, beside the others.

    Raises JournalError for journals that cannot be read (again). What OpenIM refuses or leaves unanswered is a read that failed.
    """
    if not all(is_columns(path) for path in paths):
        raise JournalError("only runs over the WebSocket can be read again (their journals end in .columns)")
    readers = [ColumnReader(path) for path in paths]
    recorded = _recorded(readers)
    header, place = readers[0].header, paths[0].parent
    names = (
        (worker, place / f"load-{header.run_id}-{worker:03d}{SUFFIX}")
        for worker in count(max(reader.worker for reader in readers) + 1)
    )
    worker, path = next((worker, path) for worker, path in names if not path.exists())
    journal = ColumnWriter(path, run_id=header.run_id, stack=header.stack, worker=worker, digest=readers[0].digest)
    reading = _Reading(journal, api, tag_of(header.run_id).decode(), readers[0].digest)
    for conversation, members in recorded.members.items():
        for member in members:
            if (begin := recorded.begin.get(conversation)) is not None:
                reading.read(member, conversation, members, begin)
    journal.close()
    return path


def _recorded(readers: Sequence[ColumnReader]) -> _Recorded:
    found = _Recorded()
    for reader in readers:
        conversation_of: dict[int, int] = {}
        begins: dict[int, int] = {}
        for batch in reader.batches():
            reads = batch[batch["kind"] == Kind.READ]
            conversation_of.update(zip(reads["number"].tolist(), reads["a"].tolist(), strict=True))
            ends = batch[(batch["kind"] == Kind.READ_END) & (batch["phase"] == OK)]
            for number, begin in zip(ends["number"].tolist(), ends["a"].tolist(), strict=True):
                chat = conversation_of[number]
                begins[chat] = min(begin, begins.get(chat, begin))
        names = reader.names
        for chat, members in enumerate(names.members):
            found.members.setdefault(names.conversations[chat], tuple(names.users[member] for member in members))
        for chat, begin in begins.items():
            name = names.conversations[chat]
            found.begin[name] = min(begin, found.begin.get(name, begin))
    return found


class _Reading:
    def __init__(self, journal: ColumnWriter, api: OpenIMApi, tag: str, text_digest: str) -> None:
        self._journal, self._api, self._tag, self._digest = journal, api, tag, text_digest

    def read(self, member: str, conversation: str, members: Sequence[str], begin: int) -> None:
        """Everything that this member can see there."""
        journal = self._journal
        chat, user, number = journal.conversation(conversation, members), journal.user(member), journal.next_read()
        journal.event(Kind.READ, time.monotonic_ns(), user, number, a=chat)
        try:
            asked_ns = time.monotonic_ns()
            journal.event(Kind.POSITION, asked_ns, user, chat, a=self._api.read_seq(member, conversation))
            newest = self._api.max_seq(member, conversation)
            for stored in self._api.pull(member, conversation, begin=begin, end=newest):
                for message in self._of_the_run(stored):
                    journal.event(
                        Kind.PULLED,
                        time.monotonic_ns(),
                        number,
                        message,
                        OK,
                        int(digest(stored.text) != self._digest),
                        stored.seq,
                        int(stored.message_id[:16], 16),
                    )
        except (OpenIMError, httpx.TransportError):
            journal.event(Kind.READ_END, time.monotonic_ns(), user, number, INFO)
            return
        journal.event(Kind.READ_END, time.monotonic_ns(), user, number, OK, 1, begin, max(newest, 0))

    def _of_the_run(self, stored: Stored) -> Iterator[int]:
        name = stored.client_message_id
        if len(name) == ID_CHARS and name.startswith(self._tag):
            at = TAG_CHARS + WORKER_CHARS
            yield message_number(int(name[TAG_CHARS:at], 16), int(name[at:]))
