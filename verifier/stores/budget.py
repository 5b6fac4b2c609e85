"""Politeness: how much may be asked of a store, how large a bite may be, and when to leave it alone for a while."""

from __future__ import annotations

import asyncio
import collections
import random
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from statistics import median
from typing import TypeVar

from verifier.profile.budgets import StoreBudget
from verifier.stores.errors import Unreachable
from verifier.stores.statement_log import StatementLog

T = TypeVar("T")

_TOOK_S: ContextVar[float] = ContextVar("took_s", default=0.0)
"""How long the store worked for the task at hand: waiting for its turn says nothing about the size of a bite."""
BASELINE_ANSWERS = 20
"""How many quick answers of a kind are remembered as what is usual."""
BASELINE_MIN = 5
BURST_S = 1.0
"""How far ahead of its rate a store may be asked after it was left alone."""
REST_MIN_S, REST_MAX_S = 0.25, 10.0
PAUSE_POLL_S = 0.5


class TooSlow(Unreachable):
    """A statement was given up for its time limit; a smaller one may do."""


class Pause:
    """The pause file: while it is there, nothing new is asked of any store."""

    def __init__(self, path: Path | None = None, poll_s: float = PAUSE_POLL_S) -> None:
        self.path = path
        self.waited_s = 0.0
        self._poll_s = poll_s
        self._paused = False
        self._open = asyncio.Event()
        self._open.set()

    @property
    def asked(self) -> bool:
        """Whether the file is there at this moment."""
        return self.path is not None and self.path.exists()

    async def watch(
        self, paused: Callable[[], None], resumed: Callable[[float], None], passed: Callable[[float], None]
    ) -> None:
        """Look for the file until cancelled; tell when a pause begins, when it is over (after how long), and how time passes in it."""
        began = 0.0
        while self.path is not None:
            if self.asked and not self._paused:
                self._paused, began = True, time.monotonic()
                self._open.clear()
                paused()
            elif self._paused and not self.asked:
                self._paused = False
                self._open.set()
                resumed(time.monotonic() - began)
            before = time.monotonic()
            await asyncio.sleep(self._poll_s)
            if self._paused:
                waited_s = time.monotonic() - before
                self.waited_s += waited_s
                passed(waited_s)

    async def over(self) -> None:
        """Wait while the run is paused."""
        await self._open.wait()


class RateLimiter:
    """So many a second, after the fact: what was too much is waited for before the next statement."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._paid_until = clock() - BURST_S

    def spend(self, amount: float) -> None:
        """This much was taken."""
        self._paid_until = max(self._paid_until, self._clock() - BURST_S) + amount / self._per_s

    @property
    def wait_s(self) -> float:
        """How long the next one has to wait."""
        return max(0.0, self._paid_until - self._clock())


class Backoff:
    """Notices that a store has become slow, and how long to leave it alone: longer each time, never for the same time twice."""

    def __init__(self, budget: StoreBudget, jitter: Callable[[], float] = random.random) -> None:
        self._budget = budget
        self._jitter = jitter
        self._usual: dict[str, collections.deque[float]] = {}
        self._slow_in_a_row = 0
        self.until = 0.0

    def usual_s(self, kind: str) -> float | None:
        """The median of the latest quick answers of this kind, or None while there are too few."""
        known = self._usual.get(kind, ())
        return median(known) if len(known) >= BASELINE_MIN else None

    def saw(self, kind: str, took_s: float, now: float) -> bool:
        """An answer came; returns whether the store is to be left alone until `self.until`."""
        usual = self.usual_s(kind)
        if usual is None or took_s <= max(self._budget.chunk_target_s, self._budget.slow_factor * usual):
            self._usual.setdefault(kind, collections.deque(maxlen=BASELINE_ANSWERS)).append(took_s)
            self._slow_in_a_row = 0
            return False
        pause = min(REST_MAX_S, REST_MIN_S * 2**self._slow_in_a_row)
        self._slow_in_a_row = min(self._slow_in_a_row + 1, 16)
        # Twelve checks wait for the same store: they must not all come back at the same moment.
        self.until = max(self.until, now + pause * (0.5 + self._jitter()))
        return True


class Budget:
    """Bounds what is asked of one store: how many at once, how many a second, how many rows a second, how long each."""

    def __init__(self, budget: StoreBudget, *, timeout_s: float, store: str, statement_log: StatementLog) -> None:
        self._slots = asyncio.Semaphore(budget.max_concurrency)
        self._timeout_s = timeout_s
        self._store = store
        self._statement_log = statement_log
        self._statements = RateLimiter(budget.statements_per_s)
        self._rows = RateLimiter(budget.rows_per_s)
        self._backoff = Backoff(budget)
        self.pause = Pause()

    async def run(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        kind: str | None,
        rows: Callable[[T], int] = lambda _: 0,
        audited: bool = True,
    ) -> T:
        """Do `work` in a slot; TooSlow when it takes longer than the operation time-out. `rows` counts what came back.

        `kind` is the statement in its normal form: answers are compared with earlier ones of the same kind. None is for what waits
        on purpose (a subscription, a change stream): it has no pace and no usual time. `audited`: the driver does not tell the
        ledger about answers itself.
        """
        if kind is None:
            return await self._timed(work)
        async with self._slots:
            await self._turn()
            self._statements.spend(1)
            self._statement_log.paced += 1
            begun = time.monotonic()
            self._statement_log.in_flight += 1
            self._statement_log.in_flight_max = max(self._statement_log.in_flight_max, self._statement_log.in_flight)
            failed, count = True, 0
            try:
                result = await self._timed(work)
                failed, count = False, rows(result)
                return result
            finally:
                now = time.monotonic()
                self._statement_log.in_flight -= 1
                took_s = now - begun
                _TOOK_S.set(_TOOK_S.get() + took_s)
                if audited:
                    self._statement_log.answered(kind, took_s=took_s, rows=count, failed=failed)
                self._rows.spend(count)
                if not failed or took_s >= self._timeout_s:  # an error that comes at once says nothing about the pace
                    self._statement_log.backed_off += self._backoff.saw(kind, took_s, now)

    async def _turn(self) -> None:
        """Wait for the pause to be over, for the store to have rested, and for the rates."""
        await self.pause.over()
        while (wait_s := max(self._statements.wait_s, self._rows.wait_s, self._backoff.until - time.monotonic())) > 0:
            self._statement_log.waited_s += wait_s
            await asyncio.sleep(wait_s)
            await self.pause.over()

    async def _timed(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work()
        except TimeoutError:
            raise TooSlow(
                f"{self._store} did not answer within {self._timeout_s:g} s. "
                "Is it overloaded? Raise operation_timeout_s of the role if it is just slow."
            ) from None


class ChunkSizer:
    """How many rows (or blocks, or keys) to ask for at once, so that an answer takes about the budget's time."""

    def __init__(self, budget: StoreBudget, *, at_most: int) -> None:
        self._target_s = budget.chunk_target_s
        self._most = at_most
        self._least = min(budget.chunk_rows_min, at_most)
        self.size = max(self._least, at_most // 4)

    def took(self, seconds: float) -> None:
        """The last bite took so long: the next one is smaller, larger or the same."""
        if seconds > self._target_s:
            self.size = max(self._least, int(self.size * max(0.25, self._target_s / seconds)))
        elif seconds < self._target_s / 2:
            self.size = min(
                self._most, max(self.size + 1, int(self.size * min(2.0, self._target_s / max(seconds, 1e-3))))
            )

    def shrink(self) -> bool:
        """It was given up for its time limit; returns whether a smaller one is worth trying."""
        if self.size <= self._least:
            return False
        self.size = max(self._least, self.size // 4)
        return True

    async def take(self, read: Callable[[int], Awaitable[T]]) -> T:
        """Read one bite; one that is given up for its time limit is tried again, smaller, as long as it can be."""
        while True:
            _TOOK_S.set(0.0)
            try:
                result = await read(self.size)
            except TooSlow:
                if not self.shrink():
                    raise
                continue
            self.took(_TOOK_S.get())
            return result
