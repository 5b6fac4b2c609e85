"""The journal of one process's REST users, and the read-back over REST."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from fixtures.clients.openim_calls import OpenIMError
from load.journal.layout import INFO, OK, REST, SUFFIX, Kind, code_of, id_number, message_number, phase_number
from load.journal.writer import ColumnWriter
from load.users.openim import OpenIMApi, Stored
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import digest

_POLL_S: Final = 0.25
COPIES: Final = ">"
"""The end of a marker that the copies of one message to several receivers share."""


@dataclass(slots=True)
class Conversation:
    """A chat of two canaries during this run.

    `begin` is the first seq that can be the run's; `copy` is the index of the receiver among those of a batch.
    """

    id: str
    members: tuple[str, str]
    begin: int
    copy: int = 0
    acked: int = 0


def new_run_id() -> str:
    """A name for a run; names sort by time."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def journal_path(out_dir: Path, run_id: str, worker: int) -> Path:
    """The path of a worker's journal; all journals of a run match `load-<run id>-*.columns`."""
    return out_dir / f"load-{run_id}-{worker:03d}{SUFFIX}"


class RunRecorder:
    """Records sends over REST as they happen, and reads everything back at the end. One for each process of a run.

    Every group of events is written at once: a recorder that is killed loses the sends in progress at most.
    """

    def __init__(self, path: Path, *, run_id: str, worker: int, stack: str, text: str) -> None:
        """A new journal at `path`; `text` is the text of every message. Raises JournalError."""
        self.path = path
        self._worker = worker
        self._run_prefix = f"{run_id}."
        self._digest = digest(text)
        self._journal = ColumnWriter(path, run_id=run_id, stack=stack, worker=worker, digest=self._digest, channel=REST)
        self._sent = 0
        self._conversations: dict[str, Conversation] = {}

    def open_conversation(
        self, conversation_id: str, members: tuple[str, str], newest_seq: int, *, copy: int = 0
    ) -> Conversation:
        """The chat of two canaries; the first of the two to call determines where the run begins in it."""
        found = self._conversations.get(conversation_id)
        if found is None:
            found = Conversation(conversation_id, members, newest_seq + 1, copy)
            self._conversations[conversation_id] = found
        return found

    def begin_send(
        self, sender: str, conversations: Sequence[Conversation], *, late_s: float, batch: bool = False
    ) -> tuple[str, list[int]]:
        """Record that a message is sent, `late_s` after it was due. Raises JournalError.

        Returns the marker that goes into `ex`, and the number of the message in each conversation. With `batch` the
        copies share the marker.
        """
        first = self._sent + 1
        self._sent += len(conversations)
        numbers = [message_number(self._worker, first + index) for index in range(len(conversations))]
        journal, now_ns = self._journal, time.monotonic_ns()
        for conversation, number in zip(conversations, numbers, strict=True):
            lane = self._lane(sender, conversation)
            journal.event(Kind.SEND, now_ns, lane, number, a=now_ns - round(late_s * 1e9))
        journal.flush()
        return f"{self._run_prefix}{self._worker}.{first}{COPIES if batch else ''}", numbers

    def end_send(
        self, sender: str, conversation: Conversation, number: int, phase: OpPhase, *, message_id: str, err_code: int
    ) -> None:
        """Record the server's answer. Raises JournalError."""
        if phase is OpPhase.OK:
            conversation.acked += 1
        self._journal.event(
            Kind.ACK,
            time.monotonic_ns(),
            self._lane(sender, conversation),
            number,
            phase_number(phase),
            code_of(err_code),
            b=id_number(message_id),
        )
        self._journal.flush()

    def read_all_back(
        self, api: OpenIMApi, *, settle_s: float, deadline_s: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Wait `settle_s`, then read every conversation as each of its members. Raises JournalError.

        Waits up to `deadline_s` more, in total, for acknowledged messages that cannot be read yet.
        """
        sleep(settle_s)
        until_s = time.monotonic() + deadline_s
        for conversation in self._conversations.values():
            while self._newest(api, conversation) < conversation.begin - 1 + conversation.acked:
                if time.monotonic() >= until_s:
                    break
                sleep(_POLL_S)
            for member in conversation.members:
                read_back(
                    self._journal,
                    api,
                    member,
                    conversation.id,
                    conversation.members,
                    begin=conversation.begin,
                    text_digest=self._digest,
                    number_of=lambda stored, chat=conversation: self._number_of(stored, chat),  # type: ignore[misc]
                )

    def close(self) -> None:
        """Finish the journal. Raises JournalError."""
        self._journal.close()

    def _lane(self, sender: str, conversation: Conversation) -> int:
        journal = self._journal
        return journal.lane(journal.user(sender), journal.conversation(conversation.id, conversation.members))

    def _number_of(self, stored: Stored, conversation: Conversation) -> int | None:
        """The number of a stored message, by its marker; None for messages of other runs and writers."""
        if not stored.ex.startswith(self._run_prefix):
            return None
        worker, _, count = stored.ex.removeprefix(self._run_prefix).partition(".")
        copy = conversation.copy if count.endswith(COPIES) else 0
        count = count.removesuffix(COPIES)
        return message_number(int(worker), int(count) + copy) if worker.isdecimal() and count.isdecimal() else None

    def _newest(self, api: OpenIMApi, conversation: Conversation) -> int:
        try:
            return api.max_seq(conversation.members[0], conversation.id)
        except (OpenIMError, httpx.HTTPError):
            # The read that follows fails, too, and is recorded.
            return conversation.begin - 1


def read_back(
    journal: ColumnWriter,
    api: OpenIMApi,
    member: str,
    conversation: str,
    members: Sequence[str],
    *,
    begin: int,
    text_digest: str,
    number_of: Callable[[Stored], int | None],
    position: bool = False,
) -> None:
    """Record everything from seq `begin` on that a member can read in a conversation. Raises JournalError.

    `number_of` returns a message's number, and None for a message that is not the run's. With `position` the member's
    read position is recorded, too. A read that fails is recorded as failed: it proves nothing.
    """
    chat, user, read = journal.conversation(conversation, members), journal.user(member), journal.next_read()
    journal.event(Kind.READ, time.monotonic_ns(), user, read, a=chat)
    try:
        if position:
            asked_ns = time.monotonic_ns()
            journal.event(Kind.POSITION, asked_ns, user, chat, a=api.read_seq(member, conversation))
        newest = api.max_seq(member, conversation)
        for stored in api.pull(member, conversation, begin=begin, end=newest):
            if (number := number_of(stored)) is not None:
                altered = int(digest(stored.text) != text_digest)
                message_id = id_number(stored.message_id)
                journal.event(Kind.PULLED, time.monotonic_ns(), read, number, OK, altered, stored.seq, message_id)
    except (OpenIMError, httpx.HTTPError):
        journal.event(Kind.READ_END, time.monotonic_ns(), user, read, INFO)
    else:
        journal.event(Kind.READ_END, time.monotonic_ns(), user, read, OK, 1, begin, max(newest, 0))
    journal.flush()
