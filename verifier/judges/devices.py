"""TOK-07 from a journal: a second device on another platform does not end the first one, unless that is the policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import Call, Operation, OpPhase, calls
from verifier.model.invariant import Problem

KICKED = frozenset({1502, 1506, 1507})
"""What OpenIM says of a token that was invalidated, kicked, or is not there any more."""


def judge_two_platforms(
    operations: Iterable[Operation], *, second_device: Literal["kept", "ends_first"] = "kept"
) -> JournalJudgement | None:
    """TOK-07: after a login on another platform the first session still reaches OpenIM, and so does the second.

    None without a `second_login`. Where the declared policy ends the first session, only the second is judged.
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
        unseen=("platforms beside the two that the canary used", "a token that OpenIM's cache keeps alive up to 300 s"),
    )


def _kicked(call: Call, ended: str) -> Problem:
    user, platforms = call.invoke.text("user"), ", ".join(call.invoke.names("platforms"))
    return Problem(
        key=user,
        summary=f"{user} logged in on platforms {platforms}, and the {ended} session no longer reaches OpenIM: {call.last}",
        expected="both sessions reach OpenIM",
        actual=f"OpenIM answered {call.last.text('err_code')} {call.last.text('error')}".strip(),
        next_step="Compare multiLogin.policy with token.per: one token per user is replaced by each login. Keep one per "
        "platform, or declare token.second_device = 'ends_first'.",
        evidence={"logins": str(call.invoke), "answer": str(call.last)},
    )
