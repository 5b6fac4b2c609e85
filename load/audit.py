"""The audit: read a run's messages back again, hours later, to see whether they were stored or only cached.

OpenIM answers from its cache for a day. A message that its queue lost on the way to the database is acknowledged,
pushed, read back at the end of the run, and missing a day later [F65]. The audit writes one more journal of the run, so
that the same judges apply: what was readable at the end of the run and is not any more was lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from load.engine.frames import ID_CHARS, TAG_CHARS, WORKER_CHARS
from load.engine.patience import Patience
from load.engine.plan import tag_of
from load.journal.layout import OK, SUFFIX, Events, Kind, message_number
from load.journal.reader import ColumnReader, is_columns
from load.journal.writer import ColumnWriter
from load.users.openim import OpenIMApi, Stored
from load.users.readback import Chat, read_until_quiet
from verifier.judges.journal import JournalError
from verifier.judges.operation import WEBSOCKET


@dataclass(slots=True)
class _Recorded:
    """The members of each conversation, the first seq there that can be the run's, and how many sends were acknowledged."""

    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    begin: dict[str, int] = field(default_factory=dict)
    acked: Counter[str] = field(default_factory=Counter)
    unsure: set[int] = field(default_factory=set)


def read_again(paths: Sequence[Path], api: OpenIMApi, patience: Patience) -> Path:
    """Read everything back as each member; returns the path of the new journal, in the directory of the others.

    What is missing is read again while messages become readable, see `read_until_quiet`. Raises JournalError for journals that cannot be read, or not be audited. A call that OpenIM refuses or does not
    answer is recorded as a failed read.
    """
    readers = [ColumnReader(path) for path in paths if is_columns(path)]
    if len(readers) < len(paths) or not all(reader.channel == WEBSOCKET for reader in readers):
        raise JournalError("only runs over the WebSocket can be audited")
    recorded = _recorded(readers)
    header, directory = readers[0].header, paths[0].parent
    names = (
        (worker, directory / f"load-{header.run_id}-{worker:03d}{SUFFIX}")
        for worker in count(max(reader.worker for reader in readers) + 1)
    )
    worker, path = next((worker, path) for worker, path in names if not path.exists())
    journal = ColumnWriter(path, run_id=header.run_id, stack=header.stack, worker=worker, digest=readers[0].digest)
    tag = tag_of(header.run_id).decode()
    chats = [
        Chat(
            id=conversation,
            members=members,
            begin=recorded.begin[conversation],
            acked=recorded.acked[conversation],
            unsure=recorded.unsure,
            number_of=lambda stored: _number_of(stored, tag),
            text_digest=readers[0].digest,
            position=True,
        )
        for conversation, members in recorded.members.items()
        if conversation in recorded.begin
    ]
    read_until_quiet(journal, api, chats, patience)
    journal.close()
    return path


def _number_of(stored: Stored, tag: str) -> int | None:
    name = stored.client_message_id
    if len(name) != ID_CHARS or not name.startswith(tag):
        return None
    count_at = TAG_CHARS + WORKER_CHARS
    return message_number(int(name[TAG_CHARS:count_at], 16), int(name[count_at:]))


def _recorded(readers: Sequence[ColumnReader]) -> _Recorded:
    found = _Recorded()
    for reader in readers:
        conversation_of: dict[int, int] = {}
        begins: dict[int, int] = {}
        for batch in reader.batches():
            reads = batch[batch["kind"] == Kind.READ]
            conversation_of.update(zip(reads["number"].tolist(), reads["a"].tolist(), strict=True))
            _count_answers(batch[batch["kind"] == Kind.ACK], reader, found)
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


def _count_answers(answers: Events, reader: ColumnReader, found: _Recorded) -> None:
    names = reader.names
    for lane, phase, number in zip(
        answers["who"].tolist(), answers["phase"].tolist(), answers["number"].tolist(), strict=True
    ):
        if phase == OK:
            found.acked[names.conversations[names.lanes[lane][1]]] += 1
        else:
            found.unsure.add(number)
