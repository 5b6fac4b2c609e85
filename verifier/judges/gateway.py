"""GW-01 in a journal: the gateway injects the imToken, shows none, and identifies users by their session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import Call, Operation, OpPhase, calls
from verifier.judges.sockets import over_websocket
from verifier.model.invariant import Problem

# OpenIM's answers to a call without a valid token. ArgsError names the missing header in its text.
_TOKEN_ERRORS = frozenset(range(1501, 1508))
_ARGS_ERROR = 1001
_KINDS = ("login", "im_call", "ws_connect", "ws_claim")


def judge_gateway(
    operations: Iterable[Operation], *, delivery: Literal["proxy", "login_response"] = "proxy"
) -> JournalJudgement | None:
    """After a login, calls and WebSocket connections through the gateway work, and no answer contains an imToken.

    None if there is no `im_call` and no `ws_connect`. With `delivery="login_response"`, the answer to the login may contain
    the token.
    """
    operations = [item for item in operations if item.op in (*_KINDS, "ws_watch", "receive", "send")]
    if not any(item.op in ("im_call", "ws_connect") for item in operations):
        return None
    problems = Problems()
    seen = total = unknown = 0
    for kind in _KINDS:
        for call in calls(operations, kind):
            total += 1
            problem = _problem(call, delivery)
            if problem is not None:
                problems.add(problem)
            elif call.phase is not (OpPhase.FAIL if kind == "ws_claim" else OpPhase.OK):
                unknown += 1
                continue
            seen += 1
    for call in calls(operations, "ws_watch"):
        # Frames that are not answers to calls: a push may contain a token too.
        if shown := call.last.names("token_in"):
            problems.add(_token_shown(call.last, shown))
    sockets = over_websocket(operations)
    return problems.judgement(
        seen=seen,
        total=total,
        unit="logins, calls and connections through the gateway",
        unknown=unknown,
        seen_over=str(sockets),
        unseen=("the gateway's own URL logs", *(() if sockets.connections else ("the WebSocket through the gateway",))),
    )


def _problem(call: Call, delivery: str) -> Problem | None:
    kind, answer = call.invoke.op, call.last
    shown = answer.names("token_in")
    if shown and not (kind == "login" and delivery == "login_response"):
        return _token_shown(answer, shown)
    if kind == "ws_claim":
        return _impersonated(call) if call.phase is OpPhase.OK else None
    if call.phase is not OpPhase.FAIL or kind == "login":
        return None
    if _token_refused(answer):
        return _not_injected(answer)
    return _not_connected(answer) if kind == "ws_connect" else None


def _token_refused(answer: Operation) -> bool:
    code = answer.number("err_code")
    return code in _TOKEN_ERRORS or (code == _ARGS_ERROR and "token" in answer.text("error"))


def _token_shown(answer: Operation, places: tuple[str, ...]) -> Problem:
    return Problem(
        key=answer.text("route") or answer.op,
        summary=f"an answer of the gateway shows an imToken: {answer}",
        expected="no imToken in any answer of the gateway",
        actual="in " + ", ".join(places),
        next_step="Remove the token from this answer. Keep it in Redis, and let the gateway inject it into requests.",
        evidence={"answer": str(answer)},
    )


def _not_injected(answer: Operation) -> Problem:
    return Problem(
        key=answer.text("route"),
        summary=f"a call through the gateway reached OpenIM without a valid imToken: {answer}",
        expected="the gateway injects the caller's imToken",
        actual=f"OpenIM answered {answer.text('err_code')} {answer.text('error')}".strip(),
        next_step="Check the key im:token:<userID> of this user, and how the gateway injects the token.",
        evidence={"answer": str(answer)},
    )


def _not_connected(answer: Operation) -> Problem:
    return Problem(
        key=answer.text("route"),
        summary=f"the gateway refused OpenIM's WebSocket to a user who is signed in: {answer}",
        expected="a user with a session can connect",
        actual=answer.text("error") or "refused",
        next_step="Check how the gateway forwards the WebSocket handshake, and whether OpenIM's WebSocket port can be reached.",
        evidence={"answer": str(answer)},
    )


def _impersonated(call: Call) -> Problem:
    claimed = call.invoke.text("claimed")
    return Problem(
        key=f"{call.invoke.text('route')} as {claimed}",
        summary=f"the gateway let {call.invoke.text('user')} act as {claimed} over OpenIM's WebSocket: {call.last}",
        expected="user, token and platform come from the session, not from the client's query",
        actual=f"answered as {claimed}",
        next_step="Drop sendID, token, platformID and v from the client's query, and set them from the session.",
        evidence={"claimed": str(call.invoke), "answered": str(call.last)},
    )
