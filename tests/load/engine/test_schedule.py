"""The schedule of due messages."""

from __future__ import annotations

import asyncio
import time

from load.engine.figures import Figures
from load.engine.schedule import Schedule
from verifier.judges.journal import JournalError


class Sender:
    """Records due messages; `broken`: its journal cannot be written."""

    def __init__(self, *, broken: bool = False) -> None:
        self.sending, self.broken = True, broken
        self.due_ns: list[int] = []

    def due(self, due_ns: int) -> None:
        if self.broken:
            raise JournalError("the disk is full")
        self.due_ns.append(due_ns)


def test_messages_are_due_in_order_and_their_lateness_is_recorded() -> None:
    """Two senders with alternating due times; a sender that stopped sending gets no further messages."""
    first, second, figures = Sender(), Sender(), Figures()
    failures: list[JournalError] = []

    async def run() -> None:
        schedule, base_ns = Schedule(figures, failures.append), time.monotonic_ns()
        schedule.follow(first, iter([0.0, 0.02, 0.04]), base_ns)
        schedule.follow(second, iter([0.01, 60.0]), base_ns)
        schedule.once(second, base_ns)
        await asyncio.sleep(0.2)
        second.sending = False
        schedule.clear()

    asyncio.run(run())
    assert [due_ns - first.due_ns[0] for due_ns in first.due_ns] == [0, 20_000_000, 40_000_000]
    assert len(second.due_ns) == 2
    assert len(figures.late_ns) == 5
    assert min(figures.late_ns) >= 0
    assert failures == []


def test_a_journal_that_cannot_be_written_is_reported() -> None:
    """The schedule ends with the error."""
    failures: list[JournalError] = []

    async def run() -> None:
        Schedule(Figures(), failures.append).once(Sender(broken=True), time.monotonic_ns())
        await asyncio.sleep(0.1)

    asyncio.run(run())
    assert [str(error) for error in failures] == ["the disk is full"]
