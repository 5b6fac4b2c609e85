"""LAG-01 from a journal: how long an acknowledged message took to be with its reader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import WEBSOCKET, Operation, OpPhase
from verifier.model.invariant import Problem

_NS = 1e9


@dataclass(slots=True)
class _Chat:
    """One conversation's lags in seconds: of pushes, and of read-backs, which tell at most how late a message was."""

    pushed: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)


def judge_lag(operations: Iterable[Operation], *, bound_s: float) -> JournalJudgement | None:
    """LAG-01: in no conversation does it usually take longer than `bound_s`. None where no acknowledged message was seen.

    A lag is the time from the acknowledgement, which OpenIM gives before it stores (T14), to the first push over its
    WebSocket. The median of a conversation is judged: OpenIM's queue is divided by conversation, and one late message is
    a deployment. A message that only a read-back saw may have been there long before: late, it tells nothing.
    """
    chats = _chats(operations)
    if not chats:
        return None
    problems, notes, unknown = Problems(), [], 0
    for name, chat in chats.items():
        lags = sorted((chat.pushed or chat.read).values())
        usual_s, worst_s = median(lags), lags[-1]
        if not chat.pushed:
            # A reading in time proves that there is no lag; a late one may be the canary's own.
            unknown += lags[0] > bound_s
            continue
        if usual_s > bound_s:
            problems.add(_late(name, usual_s, worst_s, len(lags), bound_s))
        elif worst_s > bound_s:
            notes.append(f"one message of {name} took {worst_s:.1f} s, the usual one {usual_s:.1f} s")
    pushes = sum(len(chat.pushed) for chat in chats.values())
    return problems.judgement(
        seen=len(chats) - unknown,
        total=len(chats),
        unit="conversations of the canary",
        unknown=unknown,
        notes=tuple(notes),
        seen_over=f"{pushes} messages by push, bound {bound_s:g} s",
        unseen=("lag of OpenIM's consumers in Kafka: the profile names no Kafka",),
    )


def _chats(operations: Iterable[Operation]) -> dict[str, _Chat]:
    acked: dict[str, tuple[str, int]] = {}
    begun: dict[str, Operation] = {}
    seen: dict[tuple[str, bool], int] = {}
    for item in operations:
        match item.op, item.phase:
            case "send", OpPhase.INVOKE:
                begun[item.id] = item
            case "send", OpPhase.OK if item.id in begun:
                sent = begun[item.id]
                acked[sent.text("marker")] = sent.text("conversation"), item.monotonic_ns
            case "receive", OpPhase.OK:
                # The first sight counts: it may come before the acknowledgement is read.
                seen.setdefault((item.text("marker"), item.text("channel") == WEBSOCKET), item.monotonic_ns)
    chats: dict[str, _Chat] = defaultdict(_Chat)
    for (marker, pushed), at_ns in seen.items():
        if marker in acked:
            conversation, acked_ns = acked[marker]
            lags = chats[conversation].pushed if pushed else chats[conversation].read
            lags[marker] = max(0.0, (at_ns - acked_ns) / _NS)
    return chats


def _late(name: str, usual_s: float, worst_s: float, count: int, bound_s: float) -> Problem:
    return Problem(
        key=name,
        summary=f"acknowledged messages of {name} are pushed {usual_s:.1f} s late, as a rule",
        expected=f"the median of a conversation within {bound_s:g} s (canary.lag_max_s)",
        actual=f"median {usual_s:.1f} s, longest {worst_s:.1f} s of {count} messages",
        next_step="Look at the lag of OpenIM's consumer groups (redis, mongo, push) in Kafka, and at the load of its Redis and Mongo.",
    )
