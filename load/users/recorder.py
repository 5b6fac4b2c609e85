"""The journal of one process's REST users, and the read-back over REST."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from load.engine.patience import Patience
from load.journal.layout import REST, SUFFIX, Kind, code_of, id_number, message_number, phase_number
from load.journal.writer import ColumnWriter
from load.users.openim import OpenIMApi, Stored
from load.users.readback import Chat, Sleep, read_until_quiet
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import digest

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
        self._unsure: set[int] = set()
        self.draining: Patience | None = None

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
        else:
            self._unsure.add(number)
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
        self, api: OpenIMApi, *, settle_s: float, quiet_s: float, deadline_s: float, sleep: Sleep = time.sleep
    ) -> None:
        """Wait `settle_s`, then read every conversation as each of its members. Raises JournalError.

        See `read_until_quiet`; `draining` shows how far it is.
        """
        sleep(settle_s)
        chats = [
            Chat(
                id=one.id,
                members=one.members,
                begin=one.begin,
                acked=one.acked,
                unsure=self._unsure,
                number_of=partial(self._number_of, conversation=one),
                text_digest=self._digest,
            )
            for one in self._conversations.values()
        ]
        self.draining = Patience(quiet_s=quiet_s, deadline_s=deadline_s)
        read_until_quiet(self._journal, api, chats, self.draining, sleep=sleep)

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
