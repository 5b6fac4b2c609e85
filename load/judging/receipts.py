"""The judge of read receipts: an acknowledged mark is never lost.

From `settle_s` after the acknowledgement on, the read position is at least the mark: OpenIM never lowers it [F90]. It may
be higher, as a user's own messages count as read, and its other devices read, too.
"""

from __future__ import annotations

import numpy as np

from load.journal.layout import Column
from load.judging.run_data import RunData
from verifier.judges.judgement import JournalJudgement, Problems
from verifier.model.invariant import Problem

UNIT = "acknowledged read marks"
_CHAT, _USER, _AT, _SEQ = range(4)


def judge_receipts(run: RunData, *, settle_s: float) -> JournalJudgement | None:
    """Judge a run; None if nothing was marked."""
    if not len(run.marks) and not run.unsure_marks:
        return None
    marks, positions = _by_reader(run, run.marks), _by_reader(run, run.positions)
    problems, judged, settle_ns = Problems(), 0, round(settle_s * 1e9)
    for reader, mine in marks.items():
        read_back = positions.get(reader)
        if read_back is None:
            continue
        until_ns = read_back[:, _AT] - settle_ns
        earlier = np.searchsorted(mine[:, _AT], until_ns, side="right")
        judged += int(earlier.max())
        highest = np.concatenate([[0], np.maximum.accumulate(mine[:, _SEQ])])
        short = np.flatnonzero(read_back[:, _SEQ] < highest[earlier])
        if len(short):
            first = int(short[0])
            problems.add(_problem(run, read_back[first], int(highest[earlier[first]])))
    return problems.judgement(seen=judged, total=len(run.marks), unit=UNIT, unseen=_unseen(run, judged))


def _unseen(run: RunData, judged: int) -> tuple[str, ...]:
    unread = [f"{len(run.marks) - judged} marks after which no position was read"] if len(run.marks) > judged else []
    return (*unread, *((f"{run.unsure_marks} marks that were refused or not answered",) if run.unsure_marks else ()))


def _by_reader(run: RunData, rows: Column) -> dict[int, Column]:
    """The rows of each user in each conversation, by time."""
    reader = rows[:, _CHAT] * max(len(run.users), 1) + rows[:, _USER]
    order = np.lexsort((rows[:, _AT], reader))
    names, first = np.unique(reader[order], return_index=True)
    return dict(zip(names.tolist(), np.split(rows[order], first[1:]), strict=True)) if len(names) else {}


def _problem(run: RunData, position: Column, due: int) -> Problem:
    user, conversation = run.users[int(position[_USER])], run.conversations[int(position[_CHAT])]
    actual = int(position[_SEQ])
    return Problem(
        key=f"{user} in {conversation}",
        summary=f"{user} marked {conversation} as read up to {due}, which was acknowledged; later the read position is {actual}",
        expected=f"a read position of {due} or higher",
        actual=str(actual),
        next_step="Check the log of OpenIM's msg service for this user, and its read position in Redis and in seq_user.",
        evidence={"conversation": conversation, "user": user},
    )
