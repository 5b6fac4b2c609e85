"""WHK-01 in a journal: each enabled webhook is called for the canary's messages, and its refusals take effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import WEBSOCKET, Call, Operation, OpPhase, calls
from verifier.model.invariant import Problem

Failure = Literal["refuse", "continue"]
_BEFORE = "before"
_KINDS = ("send", "hook_watch", "hook", "hook_deny", "hook_silence")


def judge_webhooks(
    operations: Iterable[Operation],
    *,
    enabled: Sequence[str],
    after_rate: float = 0.9,
    failure: Failure | None = None,
) -> JournalJudgement | None:
    """Judge the calls of the `enabled` webhooks. None if the receiver of webhooks was not watched and refused nothing.

    A call belongs to a message by operationID, by message id, or by the marker in its text. Before-hooks must be called for
    each message that was sent over OpenIM's WebSocket; messages that administrators send over REST skip them. After-hooks
    may be lost, so they must be called for at least the share `after_rate` of the messages [F97]. `failure` declares what
    happens if the receiver does not answer; OpenIM's own setting for this has no effect [F96].
    """
    recorded = [item for item in operations if item.op in _KINDS]
    if not any(item.op in ("hook_watch", "hook_deny", "hook_silence") for item in recorded):
        return None
    problems, notes = Problems(), list[str]()
    seen = total = unknown = 0
    sends = [call for call in calls(recorded, "send") if call.phase is OpPhase.OK]
    hooks = [item for item in recorded if item.op == "hook"]
    for watch in calls(recorded, "hook_watch"):
        conversation = watch.invoke.text("conversation")
        mine = [call for call in sends if call.invoke.text("conversation") == conversation]
        for command in enabled:
            due = [call for call in mine if _is_due(command, call)]
            total += len(due)
            if watch.phase is not OpPhase.OK:
                unknown += len(due)
                continue
            seen += len(due)
            missed = _missed(command, due, hooks)
            problem = _judge(command, due, missed, conversation, after_rate)
            if problem is not None:
                problems.add(problem)
            elif missed:
                notes.append(
                    f"{command}: not called for {len(missed)} of {len(due)} messages, which is within webhooks.after_rate"
                )
    for call in calls(recorded, "hook_deny"):
        total, seen, unknown = (
            total + 1,
            seen + (call.phase is not OpPhase.INFO),
            unknown + (call.phase is OpPhase.INFO),
        )
        if call.phase is OpPhase.OK:
            problems.add(_not_denied(call))
    for call in calls(recorded, "hook_silence"):
        known = call.phase is not OpPhase.INFO and failure is not None
        total, seen, unknown = total + 1, seen + known, unknown + (not known)
        if known and (call.phase is OpPhase.OK) is not (failure == "continue"):
            problems.add(_other_failure(call, str(failure)))
    return problems.judgement(
        seen=seen,
        total=total,
        unit="webhook calls due for the canary's messages",
        unknown=unknown,
        notes=tuple(notes),
        unseen=("webhooks of events that the canary does not cause", "filters by attentionIds"),
    )


def is_before(command: str) -> bool:
    """Whether a webhook is called before the event."""
    return _BEFORE in command.lower()


def _is_due(command: str, call: Call) -> bool:
    return not is_before(command) or call.invoke.text("channel") == WEBSOCKET


def _missed(command: str, due: Sequence[Call], hooks: Sequence[Operation]) -> list[Call]:
    known: dict[str, set[str]] = defaultdict(set)
    for hook in hooks:
        if hook.text("command").lower() == command.lower():
            for name in ("operation_id", "message_id", "marker"):
                known[name].add(hook.text(name))
    return [call for call in due if not _is_called(call, known)]


def _is_called(call: Call, known: dict[str, set[str]]) -> bool:
    names = {
        "operation_id": call.last.text("operation_id"),
        "message_id": call.last.text("message_id"),
        "marker": call.invoke.text("marker"),
    }
    return any(value and value in known[name] for name, value in names.items())


def _judge(
    command: str, due: Sequence[Call], missed: Sequence[Call], conversation: str, after_rate: float
) -> Problem | None:
    called = len(due) - len(missed)
    needed = len(due) if is_before(command) else after_rate * len(due)
    if called >= needed:
        return None
    return Problem(
        key=f"{command} {conversation}",
        summary=f"webhook {command} was called for {called} of {len(due)} messages of {conversation}",
        expected="for each message" if is_before(command) else f"for at least {after_rate:.0%} of them",
        actual=f"{called} of {len(due)}",
        next_step="Check webhooks.yml (enable, url, attentionIds, deniedTypes), the log of the receiver, and the network between them.",
        evidence={"first message without a call": str(missed[0].last)},
    )


def _not_denied(call: Call) -> Problem:
    return Problem(
        key=call.invoke.text("marker") or call.invoke.text("command"),
        summary=f"the receiver refused a message, but OpenIM sent it: {call.last}",
        expected="a message that a before-hook refuses is not sent",
        actual="acknowledged",
        next_step="Check the answer of the receiver: nextCode must be 1 and actionCode 0, in OpenIM's format.",
        evidence={"refused": str(call.invoke), "acknowledged": str(call.last)},
    )


def _other_failure(call: Call, declared: str) -> Problem:
    happened = "the message was sent" if call.phase is OpPhase.OK else "the message was refused"
    return Problem(
        key=call.invoke.text("marker") or call.invoke.text("command"),
        summary=f"the receiver of webhooks did not answer, and {happened}: {call.last}",
        expected=f"webhooks.failure = '{declared}'",
        actual=happened,
        next_step="OpenIM's setting failedContinue may have no effect. Declare what this server does, and make the receiver highly available.",
        evidence={"sent": str(call.invoke), "answer": str(call.last)},
    )
