"""Judges the order of messages: is each sender's order kept, and is it the same for all receivers?

A sender's message A must come before its message B if A was acknowledged before B was sent. Two messages that were in flight
together may have either order. The order is that of the seqs or, on a channel without seqs, that of arrival at each
receiver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.messages import MessageIndex, SentMessage, index_messages
from verifier.judges.operation import Operation
from verifier.model.invariant import Problem


@dataclass(frozen=True, slots=True)
class _Placed:
    """A message and its place: a seq, or a time of arrival in ns."""

    message: SentMessage
    place: int
    reception: Operation
    by_seq: bool

    def __str__(self) -> str:
        place = f"seq {self.place}" if self.by_seq else "arrival"
        return f"{self.message.marker} ({self.message.call.invoke}; {place}, {self.reception})"


def judge_order(operations: Iterable[Operation]) -> JournalJudgement | None:
    """Judge the order of a journal's messages. None if there is nothing to compare.

    `seen` is the number of messages that have an earlier one of the same sender and conversation to compare with.
    """
    messages = index_messages(operations)
    problems = Problems()
    _judge_seqs(messages, problems)
    compared = sum(_judge_lane(lane, problems) for lane in _lanes(messages).values())
    if not compared and not problems.total:
        return None
    return problems.judgement(
        seen=compared,
        total=compared,
        unit="messages with an earlier one of the same sender",
        unseen=("the order of messages that were in flight together",),
    )


def _lanes(messages: MessageIndex) -> Mapping[tuple[str, str, str], list[_Placed]]:
    """The messages that are comparable, by (conversation, sender, receiver). The receiver is "" if seqs are known."""
    lanes: dict[tuple[str, str, str], list[_Placed]] = defaultdict(list)
    placed: set[str] = set()
    for (marker, receiver), receptions in messages.receptions.items():
        message = messages.sent.get(marker)
        if message is None:
            continue
        sender = message.call.invoke.process
        seqs = [(seq, reception) for reception in receptions if (seq := reception.number("seq")) is not None]
        if seqs:
            if marker not in placed:
                placed.add(marker)
                seq, reception = min(seqs, key=lambda found: found[0])
                lanes[message.conversation, sender, ""].append(_Placed(message, seq, reception, by_seq=True))
        else:
            first = min(receptions, key=lambda reception: reception.monotonic_ns)
            lane = lanes[message.conversation, sender, receiver]
            lane.append(_Placed(message, first.monotonic_ns, first, by_seq=False))
    return lanes


def _judge_lane(lane: list[_Placed], problems: Problems) -> int:
    """Compare each message with the last-placed of those acknowledged before it was sent. Returns how many were compared."""
    acked = sorted((item for item in lane if item.message.acked), key=lambda item: item.message.call.last.monotonic_ns)
    compared, before, furthest = 0, 0, None
    for item in sorted(lane, key=lambda item: item.message.call.invoke.monotonic_ns):
        begun_ns = item.message.call.invoke.monotonic_ns
        while before < len(acked) and acked[before].message.call.last.monotonic_ns <= begun_ns:
            candidate = acked[before]
            before += 1
            if candidate is not item and (furthest is None or candidate.place > furthest.place):
                furthest = candidate
        if furthest is None:
            continue
        compared += 1
        if furthest.place > item.place:
            problems.add(_inverted(furthest, item))
    return compared


def _judge_seqs(messages: MessageIndex, problems: Problems) -> None:
    """A seq has one message, and a message has the same seq for all receivers.

    A receiver that has a message at two seqs has a duplicate, which `judge_delivery` reports. Others may have it at either.
    """
    owner: dict[tuple[str, int], tuple[str, Operation]] = {}
    found: dict[str, dict[str, dict[int, Operation]]] = defaultdict(lambda: defaultdict(dict))
    for marker, receiver, seq, reception in _with_seq(messages):
        conversation = messages.sent[marker].conversation
        other, first = owner.setdefault((conversation, seq), (marker, reception))
        if other != marker:
            problems.add(_shared(conversation, seq, first, reception))
        found[marker][receiver][seq] = reception
    for marker, by_receiver in found.items():
        (_, known), *others = by_receiver.items()
        for _, seqs in others:
            if not seqs.keys() & known.keys():
                problems.add(_disagree(marker, next(iter(known.values())), next(iter(seqs.values()))))


def _with_seq(messages: MessageIndex) -> Iterator[tuple[str, str, int, Operation]]:
    for (marker, receiver), receptions in messages.receptions.items():
        found: set[int] = set()
        for reception in receptions:
            seq = reception.number("seq")
            if seq is not None and seq not in found and marker in messages.sent:
                found.add(seq)
                yield marker, receiver, seq, reception


def _inverted(first: _Placed, second: _Placed) -> Problem:
    acked = first.message.call.last
    return Problem(
        key=f"{first.message.marker} and {second.message.marker}",
        summary=f"{first.message.call.invoke.process} sent {second} after {first} was acknowledged, but it comes before it",
        expected=f"{first.message.marker} before {second.message.marker}",
        actual=f"{second.message.marker} before {first.message.marker}",
        next_step="Look for two paths between sender and OpenIM, such as two gateways, a retry or a change of partition.",
        evidence={"first acknowledged": str(acked), "second begun": str(second.message.call.invoke)},
    )


def _shared(conversation: str, seq: int, first: Operation, second: Operation) -> Problem:
    markers = f"{first.text('marker')} and {second.text('marker')}"
    return Problem(
        key=f"{conversation} seq {seq}",
        summary=f"seq {seq} of {conversation} has two messages: {first.text('marker')} ({first}) and "
        f"{second.text('marker')} ({second})",
        expected="one message at each seq",
        actual=markers,
        next_step="Compare OpenIM's collection `seq` with its Redis: after a loss of Redis, seqs may be used again.",
        evidence={"first seen": str(first), "second seen": str(second)},
    )


def _disagree(marker: str, first: Operation, second: Operation) -> Problem:
    return Problem(
        key=marker,
        summary=f"message {marker} is at seq {first.number('seq')} for {first.text('receiver')} ({first}) and at seq "
        f"{second.number('seq')} for {second.text('receiver')} ({second})",
        expected="the same seq for all receivers",
        actual=f"seq {first.number('seq')} and seq {second.number('seq')}",
        next_step="Compare the two users' views of the conversation in OpenIM.",
        evidence={"first seen": str(first), "second seen": str(second)},
    )
