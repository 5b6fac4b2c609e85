"""Records messages in a journal with the operations and values that the judges read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from verifier.judges.journal import Recorder
from verifier.judges.operation import OpPhase


def digest(text: str) -> str:
    """The digest of a text in a journal: 16 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def outcome_of(err_code: int) -> OpPhase:
    """The outcome of a send by OpenIM's error code: ok, fail, or info for an unknown outcome.

    Codes 1001 to 1999 are refusals that come before the message is queued. Any other code (500, 80000, 90002 …, no
    envelope) may come after that, so the message may still be delivered.
    """
    if err_code == 0:
        return OpPhase.OK
    return OpPhase.FAIL if 1000 < err_code < 2000 else OpPhase.INFO


class MessageRecorder:
    """Records sends and read-backs. The process of an operation is the user that acts: sender or receiver."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def begin_send(
        self, sender: str, *, marker: str, conversation: str, receivers: Sequence[str], text: str, **more: object
    ) -> str:
        """Record that a message is being sent. `receivers` are all users who must be able to read it. Returns the call's id."""
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
        """Record the answer: ok with the server's message id, fail for a refusal, info for no clear answer."""
        value = {"message_id": message_id} if phase is OpPhase.OK else {"error": error[:200]}
        self._recorder.complete(phase, sender, "send", call_id, **value)

    def begin_read(self, receiver: str, conversation: str) -> str:
        """Record that a read-back begins. Returns its id."""
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
        """Record that the receiver saw a message: in the read-back `read`, or pushed on `channel` over `connection`."""
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
        """Record that the read-back covered the seqs begin..end; `complete` if that is everything since the first send."""
        self._recorder.complete(OpPhase.OK, receiver, "read_back", read, begin=begin, end=end, complete=complete)

    def fail_read(self, receiver: str, read: str, error: str) -> None:
        """Record that the read-back failed."""
        self._recorder.complete(OpPhase.INFO, receiver, "read_back", read, error=error[:200])
