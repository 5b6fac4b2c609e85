"""Classifies every message of a journal: was it delivered once and unchanged to each receiver, and to nobody else?

- **lost**: acknowledged, and missing in the receiver's latest complete read-back that began at least `settle_s` after the
  acknowledgement. A message that was seen earlier and is missing there is lost too. Where the server may be behind
  (`quiet_s`), the read-back must also rule out that the message is only late, see below.
- **duplicated**: one send, and two places (seqs, or message ids if there is no seq) for one receiver. The same place seen
  by two read-backs or on two channels is one message.
- **unexpected**: seen although it was never sent, although the server refused it, or by a user who is not a receiver.
- **altered**: the text that was read differs from the text that was sent.
- **recovered**: the outcome of the send is unknown, and the message was seen. This is not a problem.
- **unknown**: a send without an answer that no receiver saw, or an acknowledged message that no read-back could have
  shown. It is never counted as lost.

**Late is not lost.** A server acknowledges a message when it is queued and stores it later [F66]; under load the queue grows. With
`quiet_s`, a missing message is lost only if one of these holds for the read-back in which it is missing:

- it was *overtaken*: the read-back has a message that the same sender began to send after this one was acknowledged, and no
  hole. The queue keeps the order of a sender in a conversation, and a position that is empty may be filled later [F86].
- the server was *quiet*: the read-back began `quiet_s` or more after the acknowledgement, and after the last message of the run
  was seen for the first time, anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.lateness import Lateness
from verifier.judges.messages import MessageIndex, ReadBack, SentMessage, index_messages
from verifier.judges.operation import Operation, OpPhase
from verifier.model.invariant import Problem

UNIT = "deliveries of acknowledged messages"


@dataclass(slots=True)
class DeliveryTally:
    """Counts for one receiver.

    `expected` is the number of acknowledged messages for it, and equals `received` + `lost` + `unknown`. The other counts
    are not part of that sum.
    """

    expected: int = 0
    received: int = 0
    lost: int = 0
    unknown: int = 0
    recovered: int = 0
    duplicated: int = 0
    altered: int = 0
    unexpected: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReport:
    """The result of `judge_delivery`. `sent` equals `acked` + `refused` + `unknown_sends`."""

    sent: int
    acked: int
    refused: int
    unknown_sends: int
    recovered_sends: int
    receivers: Mapping[str, DeliveryTally]
    problems: tuple[Problem, ...]
    problems_total: int
    failed_reads: int

    def count(self, name: str) -> int:
        """The sum of one field over all receivers."""
        return sum(getattr(tally, name) for tally in self.receivers.values())

    @property
    def judgement(self) -> JournalJudgement:
        """The report as a judgement. If nothing was acknowledged, it is inconclusive."""
        notes = []
        if self.unknown_sends:
            notes.append(
                f"{self.unknown_sends} of {self.sent} sends got no answer: {self.recovered_sends} of them were seen, "
                "the outcome of the others is unknown"
            )
        if self.refused:
            notes.append(f"{self.refused} of {self.sent} sends were refused")
        if self.failed_reads:
            notes.append(f"{self.failed_reads} read-backs failed")
        if self.count("unknown"):
            notes.append(
                f"{self.count('unknown')} deliveries were not yet readable when the read-back ended, and are not known to be lost"
            )
        return JournalJudgement(
            problems=self.problems,
            problems_total=self.problems_total,
            seen=self.count("received") + self.count("lost"),
            total=self.count("expected"),
            unit=UNIT,
            unknown=self.count("unknown"),
            notes=tuple(notes),
        )


def judge_delivery(
    operations: Iterable[Operation],
    *,
    settle_s: float = 2.0,
    quiet_s: float | None = None,
    lost: Collection[tuple[str, str]] | None = None,
) -> DeliveryReport | None:
    """Compare the sends of a journal with what its receivers read. None if it contains no send.

    `settle_s` is the time in seconds that an acknowledged message may take to become readable, because OpenIM acknowledges
    before it stores [F66]. `quiet_s`: the time in seconds without progress after which a loaded server has stored everything; None
    for a server without load, where `settle_s` alone decides. `lost`: the lost (marker, receiver), if a judge that saw the whole
    journal has found them. Raises JournalError if two sends share a marker.
    """
    messages = index_messages(operations)
    if not messages.sent and not messages.receptions:
        return None
    lateness = None if quiet_s is None else Lateness(messages, quiet_s)
    return _DeliveryJudge(messages, settle_s, lateness, lost).report()


@dataclass(slots=True)
class _DeliveryJudge:
    messages: MessageIndex
    settle_s: float
    lateness: Lateness | None
    lost: Collection[tuple[str, str]] | None
    problems: Problems = field(default_factory=Problems)
    tallies: dict[str, DeliveryTally] = field(default_factory=lambda: defaultdict(DeliveryTally))
    recovered: set[str] = field(default_factory=set)

    def report(self) -> DeliveryReport:
        phases = dict.fromkeys(OpPhase, 0)
        for message in self.messages.sent.values():
            phases[message.call.phase] += 1
            for receiver in message.receivers:
                self._judge_one(message, receiver)
        for (marker, receiver), seen in self.messages.receptions.items():
            self._judge_unexpected(marker, receiver, seen)
        return DeliveryReport(
            sent=len(self.messages.sent),
            acked=phases[OpPhase.OK],
            refused=phases[OpPhase.FAIL],
            unknown_sends=phases[OpPhase.INFO],
            recovered_sends=len(self.recovered),
            receivers=dict(sorted(self.tallies.items())),
            problems=tuple(self.problems.listed),
            problems_total=self.problems.total,
            failed_reads=self.messages.failed_reads,
        )

    def _judge_one(self, message: SentMessage, receiver: str) -> None:
        tally = self.tallies[receiver]
        seen = self.messages.receptions.get((message.marker, receiver), [])
        if message.acked:
            tally.expected += 1
            self._judge_presence(message, receiver, seen, tally)
        elif seen and message.call.phase is OpPhase.INFO:
            tally.recovered += 1
            self.recovered.add(message.marker)
        self._judge_copies(message, receiver, seen, tally)

    def _judge_presence(self, message: SentMessage, receiver: str, seen: list[Operation], tally: DeliveryTally) -> None:
        read = self.messages.latest_read.get((message.conversation, receiver))
        if read is None:
            conclusive = present = False
        else:
            present = any(reception.text("read") == read.call.invoke.id for reception in seen)
            conclusive = self._is_conclusive(message, receiver, seen, read)
        if present or (seen and not conclusive):
            tally.received += 1
        elif read is None or not conclusive:
            tally.unknown += 1
        else:
            tally.lost += 1
            self.problems.add(_lost(message, receiver, seen, read.call.last))

    def _is_conclusive(self, message: SentMessage, receiver: str, seen: list[Operation], read: ReadBack) -> bool:
        """Whether a read-back that lacks the message shows that it is lost."""
        if self.lost is not None:
            return (message.marker, receiver) in self.lost
        waited_s = (read.call.invoke.monotonic_ns - message.call.last.monotonic_ns) / 1e9
        return (
            waited_s >= self.settle_s
            and (not seen or _covers(read.begin, read.end, seen))
            and (self.lateness is None or self.lateness.is_ruled_out(message, read))
        )

    def _judge_copies(self, message: SentMessage, receiver: str, seen: list[Operation], tally: DeliveryTally) -> None:
        places = {_place(reception): reception for reception in reversed(seen)}
        if len(places) > 1:
            tally.duplicated += 1
            self.problems.add(_duplicated(message, receiver, list(places.values())))
        digest = message.call.invoke.text("digest")
        for reception in seen:
            if digest and reception.text("digest") and reception.text("digest") != digest:
                tally.altered += 1
                self.problems.add(_altered(message, receiver, reception))
                break

    def _judge_unexpected(self, marker: str, receiver: str, seen: list[Operation]) -> None:
        message = self.messages.sent.get(marker)
        if message is None:
            why = f"message {marker} was never sent, but {receiver} saw it ({seen[0]})"
            expected = "only messages that were sent"
        elif message.call.phase is OpPhase.FAIL:
            why = f"the server refused message {marker} ({message.call.last}), but {receiver} saw it ({seen[0]})"
            expected = "a refused message reaches no receiver"
        elif receiver not in message.receivers:
            why = f"message {marker} was not sent to {receiver} ({message.call.invoke}), who saw it ({seen[0]})"
            expected = f"readable by {', '.join(message.receivers) or 'nobody'} only"
        else:
            return
        self.tallies[receiver].unexpected += 1
        self.problems.add(
            Problem(
                key=f"{marker} at {receiver}",
                summary=why,
                expected=expected,
                actual=f"{receiver} read it at {_where(seen[0])}",
                next_step="Look the message up in OpenIM by the ids below, and find out who wrote it.",
                evidence=_evidence(message, seen[0]),
            )
        )


def _covers(begin: int, end: int, seen: list[Operation]) -> bool:
    """Whether a read-back of begin..end would have shown the message. Without a seq, a complete read-back would."""
    seqs = [seq for reception in seen if (seq := reception.number("seq")) is not None]
    return not seqs or any(begin <= seq <= end for seq in seqs)


def _place(reception: Operation) -> tuple[str, int | str]:
    seq = reception.number("seq")
    if seq is not None:
        return "seq", seq
    return ("id", reception.text("message_id")) if reception.text("message_id") else ("operation", reception.id)


def _where(reception: Operation) -> str:
    seq = reception.number("seq")
    return f"seq {seq}" if seq is not None else f"message id {reception.text('message_id') or 'unknown'}"


def _evidence(message: SentMessage | None, reception: Operation | None) -> dict[str, str]:
    evidence = {}
    if message is not None:
        evidence["conversation"] = message.conversation
        evidence["sent"] = str(message.call.invoke)
        if message.call.completion is not None:
            evidence["answered"] = str(message.call.completion)
            evidence["message id"] = message.call.completion.text("message_id")
    if reception is not None:
        evidence["seen"] = f"{reception}, {_where(reception)}"
    return evidence


def _lost(message: SentMessage, receiver: str, seen: list[Operation], read: Operation) -> Problem:
    ack = message.call.last
    later_s = (read.monotonic_ns - ack.monotonic_ns) / 1e9
    if seen:
        summary = (
            f"message {message.marker} was seen by {receiver} ({seen[-1]}) and is gone from a later read-back ({read})"
        )
        actual = f"gone {later_s:.1f} s after the acknowledgement"
    else:
        summary = f"message {message.marker} was acknowledged ({ack}), but {receiver} did not find it later ({read})"
        actual = f"absent {later_s:.1f} s after the acknowledgement"
    return Problem(
        key=f"{message.marker} at {receiver}",
        summary=summary,
        expected=f"readable by {receiver}",
        actual=actual,
        next_step="Look up the message id in OpenIM's collection `msg` and in the log of its msgtransfer service.",
        evidence=_evidence(message, seen[-1] if seen else None) | {"read": str(read)},
    )


def _duplicated(message: SentMessage, receiver: str, places: list[Operation]) -> Problem:
    first, second = sorted(places, key=lambda place: place.number("seq") or 0)[:2]
    return Problem(
        key=f"{message.marker} at {receiver}",
        summary=f"message {message.marker} was sent once ({message.call.invoke}), but {receiver} has it at "
        f"{_where(first)} ({first}) and at {_where(second)} ({second})",
        expected="once",
        actual=f"{len(places)} times: " + ", ".join(_where(place) for place in places[:5]),
        next_step="Look for a retry between client, gateway and OpenIM: send_msg has no idempotency key.",
        evidence=_evidence(message, second),
    )


def _altered(message: SentMessage, receiver: str, reception: Operation) -> Problem:
    return Problem(
        key=f"{message.marker} at {receiver}",
        summary=f"message {message.marker} was sent with one text ({message.call.invoke}) and read with another ({reception})",
        expected=f"digest {message.call.invoke.text('digest')}",
        actual=f"digest {reception.text('digest')}",
        next_step="Look for a webhook or proxy that rewrites content.",
        evidence=_evidence(message, reception),
    )
