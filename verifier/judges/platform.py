"""Judges the canary's operations on the platform itself: a replayed nonce, and the old websocket."""

from __future__ import annotations

from collections.abc import Iterable

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import Operation, OpPhase, calls
from verifier.model.invariant import Problem

_OK_STATUS = range(200, 300)


def judge_nonce(operations: Iterable[Operation]) -> JournalJudgement | None:
    """KEEP-01: a second call with the same nonce is refused. None if there is no `nonce_replay`."""
    problems = Problems()
    seen = total = unknown = 0
    for call in calls(operations, "nonce_replay"):
        total += 1
        first = call.invoke.number("first_status")
        if call.phase is OpPhase.INFO or first not in _OK_STATUS:
            # If the first call was refused too, the refusal of the second says nothing about the nonce.
            unknown += 1
            continue
        seen += 1
        if call.phase is OpPhase.OK:
            problems.add(
                Problem(
                    key=call.invoke.text("route"),
                    summary=f"the gateway accepted the same signed call twice: {call.invoke} and {call.last}",
                    expected="the second call with the same nonce is refused (401 or 409)",
                    actual=f"HTTP {call.last.text('status')}",
                    next_step="Check that the gateway writes each nonce to Redis with SET NX before it acts.",
                    evidence={"first": str(call.invoke), "replay": str(call.last)},
                )
            )
    if not total:
        return None
    return problems.judgement(
        seen=seen,
        total=total,
        unit="replayed calls",
        unknown=unknown,
    )


def judge_legacy_websocket(operations: Iterable[Operation]) -> JournalJudgement | None:
    """WS-01: the old websocket service refuses connections, or delivers nothing. None if there is no probe."""
    problems, notes = Problems(), []
    seen = total = unknown = 0
    for call in calls(operations, "ws_probe"):
        total += 1
        if call.phase is OpPhase.INFO:
            unknown += 1
            continue
        seen += 1
        if call.phase is OpPhase.FAIL:
            continue
        delivered = call.last.number("delivered") or 0
        if delivered:
            problems.add(
                Problem(
                    key=call.invoke.text("url"),
                    summary=f"the old websocket accepted a connection ({call.invoke}) and delivered {delivered} messages "
                    f"({call.last})",
                    expected="a refused connection, or no messages",
                    actual=f"{delivered} messages in {call.last.text('listened_s')} s",
                    next_step="Stop the old websocket service, or declare the channel that it still serves.",
                    evidence={"connected": str(call.invoke), "listened": str(call.last)},
                )
            )
        else:
            notes.append(
                f"the old websocket still accepts connections; it sent nothing for {call.last.text('listened_s')} s"
            )
    if not total:
        return None
    return problems.judgement(
        seen=seen,
        total=total,
        unit="probes of the old websocket",
        unknown=unknown,
        notes=tuple(dict.fromkeys(notes)),
    )
