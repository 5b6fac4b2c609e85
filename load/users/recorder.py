"""One process's part of a run: its journal, its markers, and which conversations must be read back in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from fixtures.clients.openim_calls import OpenIMError
from load.users.openim import OpenIMApi
from verifier.judges.journal import SUFFIX, JournalWriter, Recorder
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import MessageRecorder

_POLL_S = 0.25
COPIES = ">"
"""The end of an extension field that several messages share."""


@dataclass(slots=True)
class Conversation:
    """A chat of two canaries during this run, sender first; `begin` is the first seq that can be the run's."""

    id: str
    members: tuple[str, str]
    begin: int
    acked: int = 0


def new_run_id() -> str:
    """A name for a run that sorts by time."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def journal_path(out_dir: Path, run_id: str, worker: int) -> Path:
    """Where a worker's journal goes; all journals of a run match `load-<run id>-*.jsonl`."""
    return out_dir / f"load-{run_id}-{worker:03d}{SUFFIX}"


class RunRecorder:
    """Records sends as they happen and reads everything back at the end. One for each process of a run."""

    def __init__(self, recorder: Recorder, *, path: Path, run_id: str, worker: int) -> None:
        self.path = path
        self.run_id = run_id
        self._prefix = f"{run_id}.{worker}."
        self._recorder = recorder
        self._message_recorder = MessageRecorder(recorder)
        self._sent = 0
        self._conversations: dict[str, Conversation] = {}

    @classmethod
    def create(cls, path: Path, *, run_id: str, worker: int, stack: str) -> RunRecorder:
        """A recorder with a journal of its own at `path`. Raises JournalError."""
        writer = JournalWriter(path, run_id=run_id, kind="load", stack=stack)
        return cls(writer, path=path, run_id=run_id, worker=worker)

    def open_conversation(self, conversation_id: str, members: tuple[str, str], newest_seq: int) -> Conversation:
        """The chat of two canaries; the first of the two to come fixes where the run begins in it."""
        found = self._conversations.get(conversation_id)
        if found is None:
            found = self._conversations[conversation_id] = Conversation(conversation_id, members, newest_seq + 1)
        return found

    def next_marker(self) -> str:
        """A name for the next message, unique over all runs."""
        self._sent += 1
        return f"{self._prefix}{self._sent}"

    @staticmethod
    def marker_in(ex: str, conversation: Conversation) -> str:
        """A message's marker by its extension field: copies of one message share that, and are told apart by who gets them."""
        return f"{ex}{conversation.members[1]}" if ex.endswith(COPIES) else ex

    def begin_send(self, sender: str, conversation: Conversation, *, marker: str, text: str, late_s: float) -> str:
        """A message leaves; `late_s` after it was due."""
        return self._message_recorder.begin_send(
            sender,
            marker=marker,
            conversation=conversation.id,
            receivers=conversation.members,
            text=text,
            late_ms=round(late_s * 1000),
        )

    def end_send(
        self, sender: str, conversation: Conversation, call_id: str, phase: OpPhase, *, message_id: str, error: str
    ) -> None:
        """What the server said of it."""
        if phase is OpPhase.OK:
            conversation.acked += 1
        self._message_recorder.end_send(sender, call_id, phase, message_id=message_id, error=error)

    def read_all_back(
        self, api: OpenIMApi, *, settle_s: float, deadline_s: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """After the last send: let things settle, then read every conversation as each of its members.

        Waits up to `deadline_s` more, in all, for acknowledged messages that are not readable yet.
        """
        sleep(settle_s)
        until_s = time.monotonic() + deadline_s
        for conversation in self._conversations.values():
            while self._newest(api, conversation) < conversation.begin - 1 + conversation.acked:
                if time.monotonic() >= until_s:
                    break
                sleep(_POLL_S)
            for member in conversation.members:
                self._read_back(api, conversation, member)

    def close(self) -> None:
        """Finish the journal."""
        self._recorder.close()

    def _newest(self, api: OpenIMApi, conversation: Conversation) -> int:
        try:
            return api.max_seq(conversation.members[0], conversation.id)
        except (OpenIMError, httpx.HTTPError):
            # The read that follows records why.
            return conversation.begin - 1

    def _read_back(self, api: OpenIMApi, conversation: Conversation, member: str) -> None:
        read = self._message_recorder.begin_read(member, conversation.id)
        try:
            end = api.max_seq(member, conversation.id)
            for stored in api.pull(member, conversation.id, begin=conversation.begin, end=end):
                # Markers of other runs and workers, and messages of other writers, are not this journal's business.
                if stored.ex.startswith(self._prefix):
                    self._message_recorder.saw(
                        member,
                        marker=self.marker_in(stored.ex, conversation),
                        conversation=conversation.id,
                        text=stored.text,
                        seq=stored.seq,
                        message_id=stored.message_id,
                        read=read,
                    )
        except (OpenIMError, httpx.HTTPError) as error:
            self._message_recorder.fail_read(member, read, str(error) or type(error).__name__)
            return
        self._message_recorder.end_read(member, read, begin=conversation.begin, end=end, complete=True)
