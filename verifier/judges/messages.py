"""Indexes the messages of a journal: what was sent, what each receiver saw, and which read-backs could have seen it.

Memory grows with the number of messages, not with their length: texts are recorded as digests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from verifier.judges.journal import JournalError
from verifier.judges.operation import Call, Operation, OpPhase


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One send, identified by its marker. `receivers` are all users who must be able to read it, possibly the sender too."""

    marker: str
    conversation: str
    receivers: tuple[str, ...]
    call: Call

    @property
    def sender(self) -> str:
        """Who sent it."""
        return self.call.invoke.text("sender") or self.call.invoke.process

    @property
    def acked(self) -> bool:
        """Whether the server acknowledged the message."""
        return self.call.phase is OpPhase.OK


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A complete read-back: it covers the seqs `begin` to `end` and everything since the first send."""

    call: Call
    begin: int
    end: int


@dataclass(slots=True)
class MessageIndex:
    """The messages of a journal, as the judges of delivery and order need them.

    `sent` is by marker, `receptions` by (marker, receiver), and `latest_read` by (conversation, receiver).
    """

    sent: dict[str, SentMessage] = field(default_factory=dict)
    receptions: dict[tuple[str, str], list[Operation]] = field(default_factory=lambda: defaultdict(list))
    latest_read: dict[tuple[str, str], ReadBack] = field(default_factory=dict)
    failed_reads: int = 0


def index_messages(operations: Iterable[Operation]) -> MessageIndex:
    """Index a journal. Operations may come in any order, except that an invocation precedes its completion.

    Raises JournalError if two sends share a marker, because they could not be distinguished.
    """
    messages = MessageIndex()
    open_sends: dict[str, Operation] = {}
    open_reads: dict[str, Operation] = {}
    for operation in operations:
        match operation.op, operation.phase:
            case "send", OpPhase.INVOKE:
                open_sends[operation.id] = operation
            case "send", _:
                if (invoke := open_sends.pop(operation.id, None)) is not None:
                    _add_send(messages, Call(invoke, operation))
            case "receive", OpPhase.OK:
                messages.receptions[operation.text("marker"), operation.text("receiver")].append(operation)
            case "read_back", OpPhase.INVOKE:
                open_reads[operation.id] = operation
            case "read_back", _:
                if (invoke := open_reads.pop(operation.id, None)) is not None:
                    _add_read(messages, Call(invoke, operation))
            case _:
                pass
    for invoke in open_sends.values():
        _add_send(messages, Call(invoke, None))
    return messages


def _add_send(messages: MessageIndex, call: Call) -> None:
    marker = call.invoke.text("marker")
    if marker in messages.sent:
        raise JournalError(
            f"the marker {marker!r} belongs to two sends: {messages.sent[marker].call.invoke} and {call.invoke}. "
            "Give every send a marker of its own."
        )
    messages.sent[marker] = SentMessage(marker, call.invoke.text("conversation"), call.invoke.names("receivers"), call)


def _add_read(messages: MessageIndex, call: Call) -> None:
    done = call.completion
    if done is None or done.phase is not OpPhase.OK:
        messages.failed_reads += 1
        return
    if done.value.get("complete") is not True:
        return
    key = call.invoke.text("conversation"), call.invoke.text("receiver")
    before = messages.latest_read.get(key)
    if before is None or before.call.invoke.monotonic_ns <= call.invoke.monotonic_ns:
        messages.latest_read[key] = ReadBack(call, done.number("begin") or 0, done.number("end") or 0)
