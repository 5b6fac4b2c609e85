"""How recorders write down messages, so that all of them use the words that the judges read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from verifier.judges.journal import Recorder
from verifier.judges.operation import OpPhase


def digest(text: str) -> str:
    """What stands for a text in a journal: 16 hex digits; equal texts have equal ones."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def outcome_of(err_code: int) -> OpPhase:
    """What an OpenIM error code says of a send: done, certainly not done, or unknown.

    Codes 1001 to 1999 are refusals, told before anything is queued. Any other (500, 80000, 90002 …, no envelope) may
    come from behind the queue, where the message can be on its way already.
    """
    if err_code == 0:
        return OpPhase.OK
    return OpPhase.FAIL if 1000 < err_code < 2000 else OpPhase.INFO


class MessageRecorder:
    """Records sends and read-backs. `process` is whoever acts: for a read-back, the receiver."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def begin_send(
        self, sender: str, *, marker: str, conversation: str, receivers: Sequence[str], text: str, **more: object
    ) -> str:
        """A message is about to be sent; `receivers` are all who must be able to read it. Returns the call's id."""
        return self._recorder.invoke(
            sender,
            "send",
            marker=marker,
            conversation=conversation,
            sender=sender,
            receivers=list(receivers),
            digest=digest(text),
            **more,
        )

    def end_send(self, sender: str, call_id: str, phase: OpPhase, *, message_id: str = "", error: str = "") -> None:
        """What the server said: ok with its id of the message, fail for a refusal, info for no or no clear answer."""
        told = {"message_id": message_id} if phase is OpPhase.OK else {"error": error[:200]}
        self._recorder.complete(phase, sender, "send", call_id, **told)

    def begin_read(self, receiver: str, conversation: str) -> str:
        """A read-back begins; returns its id."""
        return self._recorder.invoke(receiver, "read_back", conversation=conversation, receiver=receiver)

    def saw(
        self,
        receiver: str,
        *,
        marker: str,
        conversation: str,
        text: str,
        seq: int | None,
        message_id: str,
        read: str = "",
        channel: str = "pull",
        connection: str = "",
    ) -> None:
        """The receiver saw a message: in the read-back `read`, or pushed on a channel, over one of its connections."""
        self._recorder.observe(
            receiver,
            "receive",
            marker=marker,
            conversation=conversation,
            receiver=receiver,
            seq=seq,
            message_id=message_id,
            digest=digest(text),
            read=read,
            channel=channel,
            **({"connection": connection} if connection else {}),
        )

    def end_read(self, receiver: str, read: str, *, begin: int, end: int, complete: bool) -> None:
        """The read-back covered seqs begin..end; `complete` if that is everything since before the first send."""
        self._recorder.complete(OpPhase.OK, receiver, "read_back", read, begin=begin, end=end, complete=complete)

    def fail_read(self, receiver: str, read: str, error: str) -> None:
        """The read-back did not succeed: it proves nothing."""
        self._recorder.complete(OpPhase.INFO, receiver, "read_back", read, error=error[:200])
