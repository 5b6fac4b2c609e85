"""LAG-01 in a journal: the time from the acknowledgement of a message to its push."""

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
    """The lags of one conversation by marker, in seconds. A read-back gives only an upper bound of the lag."""

    pushed: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)


def judge_lag(operations: Iterable[Operation], *, bound_s: float) -> JournalJudgement | None:
    """In no conversation is the median lag above `bound_s` seconds. None if no acknowledged message was seen.

    The lag is the time from the acknowledgement, which OpenIM gives before it stores [F66], to the first push over its
    WebSocket. The median of each conversation is judged, because OpenIM's queue is partitioned by conversation and a single
    late message may have another cause, such as a deployment. A read-back shows only that a message was there by then, so a
    late read-back proves nothing.
    """
    chats = _chats(operations)
    if not chats:
        return None
    problems, notes, unknown = Problems(), [], 0
    for name, chat in chats.items():
        lags = sorted((chat.pushed or chat.read).values())
        usual_s, worst_s = median(lags), lags[-1]
        if not chat.pushed:
            # An early read-back proves that there is no lag. A late one may be due to the canary.
            unknown += lags[0] > bound_s
            continue
        if usual_s > bound_s:
            problems.add(_late(name, usual_s, worst_s, len(lags), bound_s))
        elif worst_s > bound_s:
            notes.append(f"one message of {name} took {worst_s:.1f} s; the median is {usual_s:.1f} s")
    pushes = sum(len(chat.pushed) for chat in chats.values())
    return problems.judgement(
        seen=len(chats) - unknown,
        total=len(chats),
        unit="conversations of the canary",
        unknown=unknown,
        notes=tuple(notes),
        seen_over=f"{pushes} messages by push, bound {bound_s:g} s",
        unseen=("lag of OpenIM's consumers in Kafka, which the profile does not describe",),
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
                # The first sight counts. It may come before the acknowledgement.
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
        summary=f"acknowledged messages of {name} are usually pushed {usual_s:.1f} s late",
        expected=f"a median of at most {bound_s:g} s (canary.lag_max_s)",
        actual=f"median {usual_s:.1f} s, longest {worst_s:.1f} s of {count} messages",
        next_step="Check the lag of OpenIM's consumer groups (redis, mongo, push) in Kafka, and the load of its Redis and MongoDB.",
    )
