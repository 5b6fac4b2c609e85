"""TOK-07 in a journal: a login on a second platform does not end the first session, unless the policy says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import Call, Operation, OpPhase, calls
from verifier.model.invariant import Problem

KICKED = frozenset({1502, 1506, 1507})
"""OpenIM's error codes for a token that is invalid, kicked or unknown [F23]."""


def judge_two_platforms(
    operations: Iterable[Operation], *, second_device: Literal["kept", "ends_first"] = "kept"
) -> JournalJudgement | None:
    """After a login on a second platform, both sessions still reach OpenIM. None if there is no `second_login`.

    With `second_device="ends_first"`, only the second session must reach it.
    """
    problems, notes = Problems(), []
    seen = total = unknown = 0
    for call in calls(operations, "second_login"):
        total += 1
        ended = call.last.text("session")
        if call.phase is OpPhase.OK:
            seen += 1
        elif call.phase is OpPhase.FAIL and ended == "first" and second_device == "ends_first":
            seen += 1
            notes.append("a second login ends the first session, as declared")
        elif call.phase is OpPhase.FAIL and call.last.number("err_code") in KICKED:
            seen += 1
            problems.add(_kicked(call, ended))
        else:
            unknown += 1
    if not total:
        return None
    return problems.judgement(
        seen=seen,
        total=total,
        unit="logins on a second platform",
        unknown=unknown,
        notes=tuple(notes),
        unseen=(
            "platforms other than the two that the canary used",
            "a token that OpenIM's cache still accepts for up to 300 s",
        ),
    )


def _kicked(call: Call, ended: str) -> Problem:
    user, platforms = call.invoke.text("user"), ", ".join(call.invoke.names("platforms"))
    return Problem(
        key=user,
        summary=f"{user} logged in on platforms {platforms}, and the {ended} session no longer reaches OpenIM: {call.last}",
        expected="both sessions reach OpenIM",
        actual=f"OpenIM answered {call.last.text('err_code')} {call.last.text('error')}".strip(),
        next_step="Compare multiLogin.policy with token.per. With one token per user, each login replaces it. Keep one token per "
        "platform, or declare token.second_device = 'ends_first'.",
        evidence={"logins": str(call.invoke), "answer": str(call.last)},
    )
