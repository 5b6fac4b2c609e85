"""The sentences for problems: only the messages with problems go through the judges of `verifier.judges`, which make them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from load.journal.layout import Column, Events, Kind, marker_of
from load.journal.operations import operations
from load.journal.reader import ColumnReader
from load.judging.delivery import Delivered
from load.judging.order import Ordered
from load.judging.run_data import RunData
from verifier.judges.delivery import DeliveryReport, judge_delivery
from verifier.judges.judgement import PROBLEMS_MAX, JournalJudgement
from verifier.judges.operation import Operation
from verifier.judges.order import judge_order
from verifier.model.invariant import Problem


def name_delivery(readers: Sequence[ColumnReader], run: RunData, delivered: Delivered) -> DeliveryReport:
    """The delivery report of a run: all numbers, and as many problems as a report shows."""
    messages = delivered.problem_messages[:PROBLEMS_MAX]
    named = judge_delivery(_operations_of(readers, run, messages), lost=_lost_pairs(run, delivered, messages))
    return DeliveryReport(
        sent=delivered.sent,
        acked=delivered.acked,
        refused=delivered.refused,
        unknown_sends=delivered.unknown_sends,
        recovered_sends=delivered.recovered_sends,
        receivers=delivered.tallies,
        problems=_first(named.problems if named else ()),
        problems_total=delivered.problems_total,
        failed_reads=run.failed_reads,
    )


def _lost_pairs(run: RunData, delivered: Delivered, messages: Column) -> set[tuple[str, str]]:
    found, receivers = delivered.lost
    chosen = np.isin(found, messages)
    return {
        (marker_of(int(run.number[message])), run.users[receiver])
        for message, receiver in zip(found[chosen].tolist(), receivers[chosen].tolist(), strict=True)
    }


def name_order(readers: Sequence[ColumnReader], run: RunData, ordered: Ordered) -> JournalJudgement:
    """The judgement of order: all numbers, and as many problems as a report shows."""
    earlier, later = ordered.inverted
    half = PROBLEMS_MAX // 2
    chosen = np.unique(np.concatenate([ordered.odd[:half], earlier[:half], later[:half]]))
    named = judge_order(_operations_of(readers, run, chosen))
    return JournalJudgement(
        problems=_first(named.problems if named else ()),
        problems_total=len(later) + ordered.seq_problems,
        seen=ordered.compared,
        total=ordered.compared,
        unit="messages with an earlier one of the same sender",
        unseen=("the order of messages that were in flight together",),
    )


def _first(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(problems[:PROBLEMS_MAX])


def _operations_of(readers: Sequence[ColumnReader], run: RunData, messages: Column) -> Iterator[Operation]:
    if not len(messages):
        return iter(())
    numbers = np.sort(run.number[messages])

    def wanted(batch: Events) -> Column:
        kind = batch["kind"]
        mine = np.isin(batch["number"], numbers) & (kind <= Kind.PULLED)
        found: Column = mine | (kind == Kind.READ) | (kind == Kind.READ_END)
        return found

    return operations(readers, wanted)
