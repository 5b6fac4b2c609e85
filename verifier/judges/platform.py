"""Judges of what the canary asked of the platform itself: a nonce twice, the old websocket."""

from __future__ import annotations

from collections.abc import Iterable

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import Operation, OpPhase, calls
from verifier.model.invariant import Problem

_OK_STATUS = range(200, 300)


def judge_nonce(operations: Iterable[Operation]) -> JournalJudgement | None:
    """KEEP-01: a call sent a second time with the same nonce is refused. None without a `nonce_replay`."""
    problems = Problems()
    seen = total = unknown = 0
    for call in calls(operations, "nonce_replay"):
        total += 1
        first = call.invoke.number("first_status")
        if call.phase is OpPhase.INFO or first not in _OK_STATUS:
            # A refusal after a call that was itself refused says nothing about the nonce.
            unknown += 1
            continue
        seen += 1
        if call.phase is OpPhase.OK:
            problems.add(
                Problem(
                    key=call.invoke.text("route"),
                    summary=f"the gateway took the same signed call twice: {call.invoke} and {call.last}",
                    expected="the second call with the same nonce is refused (401 or 409)",
                    actual=f"HTTP {call.last.text('status')}",
                    next_step="Check that the gateway writes each nonce to Redis before it acts, with SET NX.",
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
    """WS-01: the old websocket service refuses chat connections, or at least delivers nothing. None without a probe."""
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
                    summary=f"the old websocket took a connection ({call.invoke}) and delivered {delivered} messages "
                    f"({call.last})",
                    expected="refused, or silent",
                    actual=f"{delivered} messages in {call.last.text('listened_s')} s",
                    next_step="Stop the old websocket service, or declare the channel that it still serves.",
                    evidence={"connected": str(call.invoke), "listened": str(call.last)},
                )
            )
        else:
            notes.append(f"the old websocket still takes connections; silent for {call.last.text('listened_s')} s")
    if not total:
        return None
    return problems.judgement(
        seen=seen,
        total=total,
        unit="probes of the old websocket",
        unknown=unknown,
        notes=tuple(dict.fromkeys(notes)),
    )
