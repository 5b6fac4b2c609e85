"""Did every connection that was up get each message once, and in the order of the seqs?

The delivery judge asks what is stored; a message can be stored and never pushed (trap R2), pushed twice, or pushed after
the one that follows it. So that nothing is accused that is not known:

- **not pushed**: acknowledged, read back by its receiver, and not pushed on a connection of the receiver that was warm
  (its run's `warm_up_s` old) when the send began and was heard at least `settle_s` after the acknowledgement. A connection that went
  silent is watched up to the last that was heard of it.
- **pushed twice**: one place (seq) came twice over one connection. One message at two seqs is stored twice: delivery's.
- **pushed out of order**: it came over a connection after a message of the same conversation with a higher seq.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from load.journal.layout import NO_SEQ, OK, Column, marker_of
from load.judging.delivery import Delivered
from load.judging.run import NOBODY, Run
from verifier.judges.judgement import PROBLEMS_MAX, JournalJudgement
from verifier.model.invariant import Problem

UNIT = "pushes to connections that were up"
_SEQ_BITS = 40


@dataclass(slots=True)
class Pushed:
    """What the rules say; accusations as (message, connection)."""

    due: int
    received: int
    missing: tuple[Column, Column]
    twice: tuple[Column, Column]
    late: tuple[Column, Column]

    def judgement(self, run: Run) -> JournalJudgement:
        """The same as a verdict needs it."""
        kinds: Sequence[tuple[str, str, tuple[Column, Column]]] = (
            ("was stored and never pushed to", "one push", self.missing),
            ("was pushed twice to", "one push", self.twice),
            ("was pushed after a later one to", "pushes in the order of the seqs", self.late),
        )
        told = [
            _problem(run, message, connection, what, expected)
            for what, expected, (messages, connections) in kinds
            for message, connection in zip(
                messages[:PROBLEMS_MAX].tolist(), connections[:PROBLEMS_MAX].tolist(), strict=True
            )
        ]
        return JournalJudgement(
            problems=tuple(told[:PROBLEMS_MAX]),
            problems_total=sum(len(found) for _, _, (found, _) in kinds),
            seen=self.due,
            total=self.due,
            unit=UNIT,
            unseen=("pushes to connections that were not warm yet, or silent since",),
        )


def judge_pushes(run: Run, delivered: Delivered, *, settle_s: float, warm_up_s: float) -> Pushed | None:
    """Judge a run; None where it had no connection."""
    if not run.connections:
        return None
    at = np.flatnonzero(run.seen.connection != NOBODY)
    message, connection = run.seen.message[at], run.seen.connection[at]
    seq = run.seen.seq[at]
    twice, first = _twice(message, connection, seq)
    missing, due, received = _missing(
        run, delivered, message, connection, round(settle_s * 1e9), round(warm_up_s * 1e9)
    )
    late = _late(run, message[first], connection[first], seq[first])
    return Pushed(due=due, received=received, missing=missing, twice=(message[twice], connection[twice]), late=late)


def _twice(message: Column, connection: Column, seq: Column) -> tuple[Column, Column]:
    """Which pushes are the second of their place (each place once), and, in order, which are the first."""
    order = np.lexsort((seq, message, connection))
    same = (
        (message[order][1:] == message[order][:-1])
        & (connection[order][1:] == connection[order][:-1])
        & (seq[order][1:] == seq[order][:-1])
    )
    again = np.concatenate([[False], same]) if len(order) else np.zeros(0, bool)
    second = again.copy()
    second[1:] &= ~again[:-1]
    first = order[~again]
    first.sort()
    return order[second], first


def _late(run: Run, message: Column, connection: Column, seq: Column) -> tuple[Column, Column]:
    """Pushes that came after one of the same conversation with a higher seq."""
    known = (run.phase[message] > 0) & (seq != NO_SEQ)
    message, connection, seq = message[known], connection[known], seq[known]
    lane = connection.astype(np.int64) * max(len(run.conversations), 1) + run.conversation[message]
    order = np.argsort(lane, kind="stable")
    lane = lane[order]
    segment = np.concatenate([[0], np.cumsum(lane[1:] != lane[:-1])]) if len(lane) else lane
    height = (segment << _SEQ_BITS) + np.minimum(seq[order], (1 << _SEQ_BITS) - 1)
    late = order[height < np.maximum.accumulate(height)] if len(height) else order
    late.sort()
    return message[late], connection[late]


def _missing(
    run: Run, delivered: Delivered, message: Column, connection: Column, settle_ns: int, warm_ns: int
) -> tuple[tuple[Column, Column], int, int]:
    """(message, connection) of pushes that were due and did not come, how many were due, how many of those came."""
    width = max(run.connections) + 1
    came = np.unique(message.astype(np.int64) * width + connection)
    stored, owner = delivered.stored
    missing_messages, missing_connections, due, received = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], 0, 0
    by_user = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[by_user], np.arange(len(run.users) + 1))
    for number, (user, since_ns, heard_ns) in sorted(run.connections.items()):
        mine = stored[by_user[start[user] : start[user + 1]]]
        up = (run.begun_ns[mine] >= since_ns + warm_ns) & (run.answered_ns[mine] <= heard_ns - settle_ns)
        # A killed recorder's connections have no end; who knows how long they were listened to?
        up &= (run.phase[mine] == OK) & (heard_ns != np.iinfo(np.int64).max)
        mine = mine[up]
        keys = mine.astype(np.int64) * width + number
        at = np.minimum(np.searchsorted(came, keys), max(len(came) - 1, 0))
        has = came[at] == keys if len(came) else np.zeros(len(keys), bool)
        due, received = due + len(mine), received + int(has.sum())
        missing_messages.append(mine[~has])
        missing_connections.append(np.full(int((~has).sum()), number, np.int32))
    return (np.concatenate(missing_messages), np.concatenate(missing_connections)), due, received


def _problem(run: Run, message: int, connection: int, what: str, expected: str) -> Problem:
    marker, user = marker_of(int(run.number[message])), run.users[run.connections[connection][0]]
    return Problem(
        key=f"{marker} on connection {connection}",
        summary=f"message {marker} of {run.conversations[run.conversation[message]]} {what} {user} (connection {connection})",
        expected=expected,
        actual=what.removesuffix(" to"),
        next_step="Look at the log of OpenIM's push service for this receiver at that time.",
        evidence={"conversation": run.conversations[run.conversation[message]], "receiver": user},
    )
