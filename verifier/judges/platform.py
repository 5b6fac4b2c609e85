"""Judges of what the canary asked of the platform itself: gateway, push, nonce, the old websocket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import Operation, OpPhase, calls
from verifier.model import Problem

# What OpenIM answers where no token, or no valid one, came with a call: ArgsError names the header in its text.
_TOKEN_ERRORS = frozenset(range(1501, 1508))
_ARGS_ERROR = 1001
_OK_STATUS = range(200, 300)


def judge_gateway(
    operations: Iterable[Operation], *, delivery: Literal["proxy", "login_response"] = "proxy"
) -> JournalJudgement | None:
    """GW-01: the gateway injects the imToken, and no answer of its holds one. None without an `im_call`.

    Judged are logins and calls to OpenIM through the gateway. With `delivery = "login_response"` the login hands the
    token out by policy, and only other answers may not.
    """
    operations = [item for item in operations if item.op in ("login", "im_call")]
    if not any(item.op == "im_call" for item in operations):
        return None
    problems = Problems()
    seen = total = unknown = 0
    for kind in ("login", "im_call"):
        for call in calls(operations, kind):
            total += 1
            shown = call.last.names("token_in")
            if shown and not (kind == "login" and delivery == "login_response"):
                problems.add(_token_shown(call.last, shown))
            elif kind == "im_call" and call.phase is OpPhase.FAIL and _token_refused(call.last):
                problems.add(_not_injected(call.last))
            elif call.phase is not OpPhase.OK:
                unknown += 1
                continue
            seen += 1
    return problems.judgement(
        seen=seen,
        total=total,
        unit="logins and calls through the gateway",
        unknown=unknown,
        unseen=("the gateway's own URL logs",),
    )


def judge_push_once(operations: Iterable[Operation]) -> JournalJudgement | None:
    """MQ-05: at most one push for one message and receiver. None where nobody watched the push sink.

    Pushes with the same notification id are one push that a provider repeated. A sink that was not watched to the
    end cannot tell.
    """
    operations = [item for item in operations if item.op in ("push", "push_watch", "send")]
    watches = list(calls(operations, "push_watch"))
    if not watches:
        return None
    watched = {call.invoke.text("receiver") for call in watches if call.phase is OpPhase.OK}
    messages = _message_ids(operations)
    pushes: dict[tuple[str, str], dict[str, Operation]] = defaultdict(dict)
    for item in operations:
        if item.op == "push" and (message := _pushed(item, messages)) is not None:
            pushes[message, item.text("receiver")].setdefault(item.text("notification_id") or item.id, item)
    problems = Problems()
    for (message, receiver), arrived in pushes.items():
        if len(arrived) > 1:
            problems.add(_pushed_twice(message, receiver, list(arrived.values())))
    acked = [call.invoke for call in calls(operations, "send") if call.phase is OpPhase.OK]
    receivers = [name for send in acked for name in _others(send)]
    seen = sum(name in watched for name in receivers)
    return problems.judgement(
        seen=seen,
        total=len(receivers),
        unit="messages to a receiver whose push sink was watched",
        unknown=len(receivers) - seen,
        notes=(f"{sum(len(arrived) for arrived in pushes.values())} pushes arrived",),
    )


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


def _token_refused(answer: Operation) -> bool:
    code = answer.number("err_code")
    return code in _TOKEN_ERRORS or (code == _ARGS_ERROR and "token" in answer.text("error"))


def _token_shown(answer: Operation, places: tuple[str, ...]) -> Problem:
    return Problem(
        key=answer.text("route") or answer.op,
        summary=f"the gateway's answer shows an imToken: {answer}",
        expected="no imToken leaves the gateway",
        actual="in " + ", ".join(places),
        next_step="Keep the token in Redis and inject it in the gateway; take it out of this answer.",
        evidence={"answer": str(answer)},
    )


def _not_injected(answer: Operation) -> Problem:
    return Problem(
        key=answer.text("route"),
        summary=f"a call through the gateway reached OpenIM without a valid imToken: {answer}",
        expected="the gateway injects the caller's imToken",
        actual=f"OpenIM answered {answer.text('err_code')} {answer.text('error')}".strip(),
        next_step="Look at im:token:<userID> of this user, and at how the gateway injects it.",
        evidence={"answer": str(answer)},
    )


def _message_ids(operations: list[Operation]) -> dict[str, str]:
    """Message id -> marker, of the sends that were answered."""
    return {
        call.last.text("message_id"): call.invoke.text("marker")
        for call in calls(operations, "send")
        if call.phase is OpPhase.OK and call.last.text("message_id")
    }


def _pushed(push: Operation, messages: dict[str, str]) -> str | None:
    """The message that a push is about: its marker, or its message id where no send of this journal is meant."""
    if push.text("marker"):
        return push.text("marker")
    message_id = push.text("message_id")
    return messages.get(message_id, message_id) or None


def _others(send: Operation) -> list[str]:
    return [name for name in send.names("receivers") if name != send.text("sender")]


def _pushed_twice(message: str, receiver: str, pushes: list[Operation]) -> Problem:
    sources = " and ".join(dict.fromkeys(push.text("source") or "unknown sender" for push in pushes))
    return Problem(
        key=f"{message} at {receiver}",
        summary=f"message {message} was pushed to {receiver} twice: {pushes[0]} and {pushes[1]}",
        expected="at most one push",
        actual=f"{len(pushes)} pushes, from {sources}",
        next_step="Switch chat pushes off in the push worker once OpenIM pushes this conversation.",
        evidence={f"push {number}": str(push) for number, push in enumerate(pushes[:5], 1)},
    )
