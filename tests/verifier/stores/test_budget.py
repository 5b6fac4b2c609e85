"""Budgets: concurrency, rates, chunk sizes, back-off and the pause file."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from verifier.profile.budgets import StoreBudget
from verifier.stores.budget import Backoff, Budget, ChunkSizer, NoAnswer, Pause, RateLimiter, TooSlow
from verifier.stores.builtin.statements import over_budget
from verifier.stores.errors import StoreError
from verifier.stores.statement_log import StatementLog

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


def budget(statement_log: StatementLog, timeout_s: float = 5, **limits: float) -> Budget:
    """The budget of a store called s."""
    return Budget(StoreBudget.model_validate(limits), timeout_s=timeout_s, store="s", statement_log=statement_log)


async def _work(seconds: float = 0.0, rows: int = 0) -> list[int]:
    await asyncio.sleep(seconds)
    return [0] * rows


async def test_concurrency_is_bounded() -> None:
    """Of twelve concurrent checks, the store gets as many statements at once as its budget allows, and the log shows
    it."""
    statement_log = StatementLog()
    bounded = budget(statement_log, max_concurrency=3)
    await asyncio.gather(*(bounded.run(lambda: _work(0.02), kind="q") for _ in range(12)))
    assert statement_log.in_flight_max == 3
    assert statement_log.lines["q"].answers == 12


async def test_statements_and_rows_have_a_rate() -> None:
    """Beyond a second's worth the next statement waits; rows count after they came."""
    statement_log = StatementLog()
    limits = StoreBudget(statements_per_s=50)
    bounded = Budget(limits, timeout_s=5, store="s", statement_log=statement_log)
    begun = time.monotonic()
    for _ in range(75):
        await bounded.run(_work, kind="q")
    assert 0.4 < time.monotonic() - begun < 1.5  # 50 are free, 25 take half a second
    assert over_budget(statement_log, limits, time.monotonic() - begun) == ""
    rows = budget(statement_log, rows_per_s=1000)
    begun = time.monotonic()
    for _ in range(3):
        await rows.run(lambda: _work(rows=700), kind="rows", rows=len)
    assert 0.3 < time.monotonic() - begun < 1.0
    assert statement_log.rows == 2100
    assert statement_log.waited_s > 0


def test_an_idle_rate_does_not_accumulate() -> None:
    """An hour without statements does not allow an hour's statements at once."""
    now = [0.0]
    rate = RateLimiter(10, clock=lambda: now[0])
    now[0] = 3600.0
    rate.spend(10)
    assert rate.wait_s == 0
    rate.spend(10)
    assert rate.wait_s == pytest.approx(1.0)


def test_chunk_size_follows_the_time() -> None:
    """Slow answers make chunks smaller at once, quick ones larger again, within the bounds."""
    sizer = ChunkSizer(StoreBudget(chunk_target_s=0.5, chunk_rows_min=50), at_most=2000)
    assert sizer.size == 500
    for _ in range(10):
        sizer.took(0.05)
    assert sizer.size == 2000
    sizer.took(1.0)
    assert sizer.size == 1000
    for _ in range(10):
        sizer.took(60)
    assert sizer.size == 50
    sizer.took(0.4)
    assert sizer.size == 50
    sizer.took(0.2)
    assert sizer.size == 100
    assert ChunkSizer(StoreBudget(), at_most=3).size == 3


async def test_a_chunk_that_is_too_slow_is_read_again_smaller() -> None:
    """A statement beyond its time limit is an error only at the minimum size."""
    asked: list[int] = []

    async def read(size: int) -> list[int]:
        asked.append(size)
        if size > 100:
            raise TooSlow("gave up")
        return [0] * size

    sizer = ChunkSizer(StoreBudget(), at_most=2000)
    assert len(await sizer.take(read)) == asked[-1] == 50 or asked == [500, 125, 50]
    with pytest.raises(TooSlow):
        await ChunkSizer(StoreBudget(chunk_rows_min=500), at_most=2000).take(read)


def test_backoff_grows_while_a_store_stays_slow() -> None:
    """Times are compared with the usual one of the same kind of statement; a random part keeps checks apart."""
    backoff = Backoff(StoreBudget(chunk_target_s=0.5, slow_factor=8), jitter=lambda: 0.5)
    assert not any(backoff.saw("q", 0.1, now=0) for _ in range(5))
    assert not backoff.saw("q", 0.7, now=10), "seven times the usual is not yet slow"
    assert backoff.saw("q", 2.0, now=10)
    assert backoff.until == pytest.approx(10.25)
    assert backoff.saw("q", 2.0, now=20)
    assert backoff.until == pytest.approx(20.5)
    assert not backoff.saw("q", 0.1, now=30)
    assert backoff.saw("q", 2.0, now=40)
    assert backoff.until == pytest.approx(40.25), "a quick answer in between ends the row"
    assert not backoff.saw("another", 2.0, now=40), "there is no usual time for it yet"
    early = Backoff(StoreBudget(), jitter=lambda: 0.0)
    late = Backoff(StoreBudget(), jitter=lambda: 0.999)
    for one in (early, late):
        for took_s in (0.1,) * 5 + (9.0,):
            one.saw("q", took_s, now=0)
    assert early.until < late.until / 2


async def test_a_slow_store_is_paused() -> None:
    """The next statement waits, and the log counts the pauses."""
    statement_log = StatementLog()
    bounded = budget(statement_log, chunk_target_s=0.02, slow_factor=3)
    for _ in range(5):
        await bounded.run(_work, kind="q")
    await bounded.run(lambda: _work(0.1), kind="q")
    begun = time.monotonic()
    await bounded.run(_work, kind="q")
    assert time.monotonic() - begun > 0.1
    assert statement_log.backed_off == 1


async def test_waiting_for_a_turn_does_not_make_chunks_smaller() -> None:
    """Only the time that the store takes counts, not that of rates and pauses."""
    statement_log = StatementLog()
    bounded = budget(statement_log, statements_per_s=5)
    sizer = ChunkSizer(StoreBudget(chunk_target_s=0.1), at_most=2000)
    for _ in range(7):
        await sizer.take(lambda size: bounded.run(_work, kind="q"))
    assert statement_log.waited_s > 0.15
    assert sizer.size == 2000


async def test_a_time_limit_is_an_error_and_is_counted() -> None:
    """The message names the setting. Errors of the store are raised unchanged, and the log has both."""
    statement_log = StatementLog()
    bounded = budget(statement_log, timeout_s=0.05)
    with pytest.raises(TooSlow, match=r"within 0.05 s.*operation_timeout_s"):
        await bounded.run(lambda: _work(1), kind="q")

    async def fail() -> None:
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        await budget(statement_log).run(fail, kind="q")
    assert (statement_log.lines["q"].failed, statement_log.in_flight) == (2, 0)


async def test_the_pause_file_holds_back_every_statement(tmp_path: Path) -> None:
    """While it exists, nothing new is sent; subscriptions continue, and the time is counted."""
    pause = Pause(tmp_path / "pause", poll_s=0.02)
    said: list[str] = []
    passed: list[float] = []
    watcher = asyncio.create_task(
        pause.watch(lambda: said.append("paused"), lambda after_s: said.append("resumed"), passed.append)
    )
    statement_log = StatementLog()
    bounded = budget(statement_log)
    bounded.pause = pause
    await bounded.run(_work, kind="q")
    (tmp_path / "pause").touch()
    await asyncio.sleep(0.06)
    held = asyncio.create_task(bounded.run(_work, kind="q"))
    await bounded.run(_work, kind=None)
    await asyncio.sleep(0.06)
    assert said == ["paused"]
    assert not held.done()
    (tmp_path / "pause").unlink()
    await asyncio.wait_for(held, 1)
    watcher.cancel()
    assert said == ["paused", "resumed"]
    assert pause.waited_s == pytest.approx(sum(passed), abs=0.01)
    assert 0.04 < pause.waited_s < 0.5


async def _hang() -> list[int]:
    await asyncio.sleep(60)
    return []


async def test_a_store_that_does_not_answer_is_left_out() -> None:
    """After the first time-out every later statement fails at once, with one sentence that says when it was."""
    statement_log = StatementLog()
    bounded = budget(statement_log, timeout_s=0.2)
    with pytest.raises(NoAnswer, match=r"did not answer within 0\.2 s"):
        await bounded.run(_hang, kind="q")
    assert bounded.left_out
    begun = time.monotonic()
    for kind in (*("q" * 50), "another", None):
        with pytest.raises(NoAnswer, match=r"left out for the rest of this run\."):
            await bounded.run(_hang, kind=kind)
    assert time.monotonic() - begun < 0.2
    assert statement_log.paced == 1


async def test_statements_that_wait_for_a_slot_are_left_out_too() -> None:
    """A queue of statements behind a hung one does not cost a time-out each."""
    bounded = budget(StatementLog(), timeout_s=0.3, max_concurrency=2)
    begun = time.monotonic()
    answers = await asyncio.gather(*(bounded.run(_hang, kind="q") for _ in range(20)), return_exceptions=True)
    assert time.monotonic() - begun < 2 * 0.3
    assert all(isinstance(answer, NoAnswer) for answer in answers)


async def test_a_hung_store_is_not_asked_for_smaller_chunks() -> None:
    """Smaller chunks help a slow server, not a mute one."""
    bounded, asked = budget(StatementLog(), timeout_s=0.05), []

    async def read(size: int) -> list[int]:
        asked.append(size)
        return await bounded.run(_hang, kind="q")

    with pytest.raises(NoAnswer):
        await ChunkSizer(StoreBudget(), at_most=2000).take(read)
    assert asked == [500]


async def test_a_drivers_own_time_out_counts() -> None:
    """A driver that gives up after the time limit, with an error of its own, did not get an answer either."""

    async def give_up() -> list[int]:
        await asyncio.sleep(0.1)
        raise OSError("timed out")

    bounded = budget(StatementLog(), timeout_s=0.1)
    bounded._grace_s = 1.0
    with pytest.raises(OSError, match="timed out"):
        await bounded.run(give_up, kind="q")
    assert bounded.left_out


async def test_a_store_is_not_left_out_for_statements_that_can_be_done_without() -> None:
    """The counts of many large tables take too long. Each is sent once, and the tables themselves are read."""
    bounded, sent = budget(StatementLog(), timeout_s=5), []

    async def cancelled() -> list[int]:
        sent.append(1)
        raise TooSlow("the server cancelled it")

    for kind in ("a", "a", "b", "c", "d"):
        with pytest.raises(TooSlow):
            await bounded.run(cancelled, kind=kind, optional=True)
    assert len(sent) == 4
    assert not bounded.left_out
    assert await bounded.run(_work, kind="e") == []


async def test_a_statement_that_the_server_cancels_is_not_sent_again() -> None:
    """The server is alive, so other statements are sent; after three of them the store is left out."""
    bounded, sent = budget(StatementLog(), timeout_s=5), []

    async def cancelled() -> list[int]:
        sent.append(1)
        raise TooSlow("the server cancelled it")

    for kind in ("a", "a", "b"):
        with pytest.raises(TooSlow):
            await bounded.run(cancelled, kind=kind)
    assert len(sent) == 2
    assert await bounded.run(_work, kind="c") == []
    with pytest.raises(TooSlow):
        await bounded.run(cancelled, kind="d")
    with pytest.raises(NoAnswer, match="left out"):
        await bounded.run(_work, kind="c")


async def test_large_chunks_that_the_server_cancels_do_not_count() -> None:
    """A chunk that is read again in a smaller size is no reason to leave a statement out."""
    bounded = budget(StatementLog(), timeout_s=5)

    async def read(size: int) -> list[int]:
        async def work() -> list[int]:
            if size > 100:
                raise TooSlow("the server cancelled it")
            return [0] * size

        return await bounded.run(work, kind="q")

    assert len(await ChunkSizer(StoreBudget(), at_most=2000).take(read)) <= 100
