"""The judge of pushes: every connection that was up received each message once, in the order of the seqs.

The delivery judge judges what is stored. A message can be stored and never pushed [F119], pushed twice, or pushed after
a later one. The rules are conservative, so that nothing uncertain is reported:

- **not pushed**: acknowledged, read back by its receiver, and not pushed on a connection of the receiver that was warm
  (`warm_up_s` old) when the send began, and received a frame at least `settle_s` after the message was readable. A silent
  connection counts up to its last received frame. A message is readable when somebody first sees it, or sees a later one of
  the conversation: a server may store long after it has acknowledged, when the connection is closed.
- **pushed twice**: one seq came twice over one connection. A message with two seqs is stored twice, which the delivery
  judge reports.
- **pushed out of order**: a message came over a connection after one of the same conversation with a higher seq.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from load.journal.layout import NO_SEQ, OK, Column, marker_of
from load.judging.delivery import Delivered
from load.judging.run_data import NONE, RunData
from verifier.judges.judgement import PROBLEMS_MAX, JournalJudgement
from verifier.model.invariant import Problem

UNIT = "pushes to connections that were up"
_SEQ_BITS = 40


@dataclass(slots=True)
class Pushed:
    """The result of the rules; problems are pairs (message, connection)."""

    due: int
    received: int
    missing: tuple[Column, Column]
    twice: tuple[Column, Column]
    late: tuple[Column, Column]

    def judgement(self, run: RunData) -> JournalJudgement:
        """The result as a judgement."""
        kinds: Sequence[tuple[str, str, tuple[Column, Column]]] = (
            ("was stored and never pushed to", "one push", self.missing),
            ("was pushed twice to", "one push", self.twice),
            ("was pushed after a later one to", "pushes in the order of the seqs", self.late),
        )
        problems = [
            _problem(run, message, connection, what, expected)
            for what, expected, (messages, connections) in kinds
            for message, connection in zip(
                messages[:PROBLEMS_MAX].tolist(), connections[:PROBLEMS_MAX].tolist(), strict=True
            )
        ]
        return JournalJudgement(
            problems=tuple(problems[:PROBLEMS_MAX]),
            problems_total=sum(len(found) for _, _, (found, _) in kinds),
            seen=self.due,
            total=self.due,
            unit=UNIT,
            unseen=("pushes to connections that were not warmed up yet, or silent afterwards",),
        )


def judge_pushes(run: RunData, delivered: Delivered, *, settle_s: float, warm_up_s: float) -> Pushed | None:
    """Judge a run; None if it had no connection, as over REST."""
    if not run.connections:
        return None
    at = np.flatnonzero(run.received.connection != NONE)
    message, connection = run.received.message[at], run.received.connection[at]
    seq = run.received.seq[at]
    twice, first = _twice(message, connection, seq)
    missing, due, received = _missing(
        run, delivered, message, connection, round(settle_s * 1e9), round(warm_up_s * 1e9)
    )
    late = _late(run, message[first], connection[first], seq[first])
    return Pushed(due=due, received=received, missing=missing, twice=(message[twice], connection[twice]), late=late)


def _twice(message: Column, connection: Column, seq: Column) -> tuple[Column, Column]:
    """The pushes that repeat a seq on their connection (each seq once), and the first pushes in order."""
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


def _late(run: RunData, message: Column, connection: Column, seq: Column) -> tuple[Column, Column]:
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
    run: RunData, delivered: Delivered, message: Column, connection: Column, settle_ns: int, warm_ns: int
) -> tuple[tuple[Column, Column], int, int]:
    """(message, connection) of missing pushes; the number of pushes due; the number of those that came."""
    width = max(run.connections) + 1
    came = np.unique(message.astype(np.int64) * width + connection)
    stored, owner = delivered.stored
    missing_messages, missing_connections, due, received = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], 0, 0
    readable_ns = run.readable_since_ns
    by_user = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[by_user], np.arange(len(run.users) + 1))
    for number, (user, since_ns, received_ns) in sorted(run.connections.items()):
        mine = stored[by_user[start[user] : start[user + 1]]]
        since_readable_ns = np.maximum(run.answered_ns[mine], readable_ns[mine])
        up = (run.begun_ns[mine] >= since_ns + warm_ns) & (since_readable_ns <= received_ns - settle_ns)
        # The connections of a recorder that was killed have no end: until when they were up is unknown.
        up &= (run.phase[mine] == OK) & (received_ns != np.iinfo(np.int64).max)
        mine = mine[up]
        keys = mine.astype(np.int64) * width + number
        at = np.minimum(np.searchsorted(came, keys), max(len(came) - 1, 0))
        has = came[at] == keys if len(came) else np.zeros(len(keys), bool)
        due, received = due + len(mine), received + int(has.sum())
        missing_messages.append(mine[~has])
        missing_connections.append(np.full(int((~has).sum()), number, np.int32))
    return (np.concatenate(missing_messages), np.concatenate(missing_connections)), due, received


def _problem(run: RunData, message: int, connection: int, what: str, expected: str) -> Problem:
    marker, user = marker_of(int(run.number[message])), run.users[run.connections[connection][0]]
    return Problem(
        key=f"{marker} on connection {connection}",
        summary=f"message {marker} of {run.conversations[run.conversation[message]]} {what} {user} (connection {connection})",
        expected=expected,
        actual=what.removesuffix(" to"),
        next_step="Check the log of OpenIM's push service for this receiver at that time.",
        evidence={"conversation": run.conversations[run.conversation[message]], "receiver": user},
    )
