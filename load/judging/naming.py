"""The sentences for what was found: the accused messages alone go through the judges that know how to tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from load.journal.layout import Column, Events, Kind
from load.journal.operations import operations
from load.journal.reader import ColumnReader
from load.judging.delivery import Delivered
from load.judging.order import Ordered
from load.judging.run import Run
from verifier.judges.delivery import DeliveryReport, judge_delivery
from verifier.judges.judgement import PROBLEMS_MAX, JournalJudgement
from verifier.judges.operation import Operation
from verifier.judges.order import judge_order
from verifier.model.invariant import Problem


def name_delivery(
    readers: Sequence[ColumnReader], run: Run, delivered: Delivered, *, settle_s: float
) -> DeliveryReport:
    """The report of a run: all numbers, and as many problems as a report tells."""
    told = judge_delivery(_of(readers, run, delivered.accused[:PROBLEMS_MAX]), settle_s=settle_s)
    return DeliveryReport(
        sent=delivered.sent,
        acked=delivered.acked,
        refused=delivered.refused,
        unknown_sends=delivered.unknown_sends,
        recovered_sends=delivered.recovered_sends,
        receivers=delivered.tallies,
        problems=_first(told.problems if told else ()),
        problems_total=delivered.accusations,
        failed_reads=run.failed_reads,
    )


def name_order(readers: Sequence[ColumnReader], run: Run, ordered: Ordered) -> JournalJudgement:
    """The same for order."""
    earlier, later = ordered.inverted
    half = PROBLEMS_MAX // 2
    chosen = np.unique(np.concatenate([ordered.odd[:half], earlier[:half], later[:half]]))
    told = judge_order(_of(readers, run, chosen))
    return JournalJudgement(
        problems=_first(told.problems if told else ()),
        problems_total=len(later) + ordered.seq_problems,
        seen=ordered.compared,
        total=ordered.compared,
        unit="messages with an earlier one of the same sender",
        unseen=("the order of messages that were in flight together",),
    )


def _first(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(problems[:PROBLEMS_MAX])


def _of(readers: Sequence[ColumnReader], run: Run, messages: Column) -> Iterator[Operation]:
    if not len(messages):
        return iter(())
    numbers = np.sort(run.number[messages])

    def wanted(batch: Events) -> Column:
        kind = batch["kind"]
        mine = np.isin(batch["number"], numbers) & (kind <= Kind.PULLED)
        found: Column = mine | (kind == Kind.READ) | (kind == Kind.READ_END)
        return found

    return operations(readers, wanted)
