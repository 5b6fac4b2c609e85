"""Limits on the load of a store: rates, concurrency, time-outs, chunk sizes, back-off and the pause file.

A store that does not answer in time is left out for the rest of the run: further statements fail at once, so that a hung
server costs one time-out and not one for each check. A statement that the server itself cancels is not sent again.
"""

from __future__ import annotations

import asyncio
import collections
import random
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeVar

from verifier.profile.budgets import StoreBudget
from verifier.stores.errors import Unreachable
from verifier.stores.statement_log import StatementLog

T = TypeVar("T")

_TOOK_S: ContextVar[float] = ContextVar("took_s", default=0.0)
"""How long the store worked for the current chunk. The time that a statement waited for its turn is not in it."""
_MAY_SHRINK: ContextVar[bool] = ContextVar("may_shrink", default=False)
"""Whether the current statement reads a chunk that is read again in a smaller size if it is too slow."""
BASELINE_ANSWERS = 20
"""Number of recent quick answers of a kind whose median is its usual time."""
BASELINE_MIN = 5
BURST_S = 1.0
"""After a pause, statements may exceed the rate by this many seconds' worth."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.25, 10.0
PAUSE_POLL_S = 0.5
CANCELLED_MAX = 3
"""A store whose server has cancelled this many different statements is left out."""


class TooSlow(Unreachable):
    """A statement exceeded its time limit. A smaller one may succeed."""


class NoAnswer(TooSlow):
    """No answer came within the time limit, not even that the statement was cancelled. The store is left out for the rest of
    the run."""


class Pause:
    """The pause file: while it exists, no new statement is sent to any store."""

    def __init__(self, path: Path | None = None, poll_s: float = PAUSE_POLL_S) -> None:
        self.path = path
        self.waited_s = 0.0
        self._poll_s = poll_s
        self._paused = False
        self._open = asyncio.Event()
        self._open.set()

    @property
    def asked(self) -> bool:
        """Whether the file exists now."""
        return self.path is not None and self.path.exists()

    async def watch(
        self, paused: Callable[[], None], resumed: Callable[[float], None], passed: Callable[[float], None]
    ) -> None:
        """Poll for the file until cancelled.

        `paused` is called when a pause begins, `resumed` with its length in seconds when it ends, `passed` with the seconds
        of each poll in between.
        """
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
        """Wait until the run is not paused."""
        await self._open.wait()


class RateLimiter:
    """Limits a rate afterwards: an amount is spent first, and the next statement waits until the rate allows it."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._paid_until = clock() - BURST_S

    def spend(self, amount: float) -> None:
        """Count an amount that was used."""
        self._paid_until = max(self._paid_until, self._clock() - BURST_S) + amount / self._per_s

    @property
    def wait_s(self) -> float:
        """Seconds that the next statement has to wait."""
        return max(0.0, self._paid_until - self._clock())


class Backoff:
    """Detects that a store has become slow and pauses it. Pauses grow while it stays slow, and each has a random part."""

    def __init__(self, budget: StoreBudget, jitter: Callable[[], float] = random.random) -> None:
        self._budget = budget
        self._jitter = jitter
        self._usual: dict[str, collections.deque[float]] = {}
        self._slow_in_a_row = 0
        self.until = 0.0

    def usual_s(self, kind: str) -> float | None:
        """The median of the recent quick answers of this kind, or None while there are fewer than BASELINE_MIN."""
        known = self._usual.get(kind, ())
        return median(known) if len(known) >= BASELINE_MIN else None

    def saw(self, kind: str, took_s: float, now: float) -> bool:
        """Count an answer of this kind. Returns whether the store is to be paused until `self.until`."""
        usual = self.usual_s(kind)
        if usual is None or took_s <= max(self._budget.chunk_target_s, self._budget.slow_factor * usual):
            self._usual.setdefault(kind, collections.deque(maxlen=BASELINE_ANSWERS)).append(took_s)
            self._slow_in_a_row = 0
            return False
        pause = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2**self._slow_in_a_row)
        self._slow_in_a_row = min(self._slow_in_a_row + 1, 16)
        # Several checks wait for the same store: the random part keeps them from resuming at the same moment.
        self.until = max(self.until, now + pause * (0.5 + self._jitter()))
        return True


class Budget:
    """Bounds the load of one store: concurrent statements, statements per second, rows per second, seconds per statement.

    `grace_s`: how long to wait beyond `timeout_s` for a server that cancels statements itself, so that its answer comes first.
    """

    def __init__(
        self, budget: StoreBudget, *, timeout_s: float, store: str, statement_log: StatementLog, grace_s: float = 0.0
    ) -> None:
        self._slots = asyncio.Semaphore(budget.max_concurrency)
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._silent_since: datetime | None = None
        self._cancelled: set[str] = set()
        self._cancellations = 0
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
        optional: bool = False,
    ) -> T:
        """Do `work` in a slot. Raises NoAnswer when it takes longer than the operation time-out, and for every later statement.

        `kind`: the statement in normal form; its time is compared with earlier ones of the same kind. None is for work that
        waits on purpose (a subscription, a change stream): it has neither rate nor usual time. `rows`: counts the rows of a
        result. `audited`: count the answer in the statement log here; False where the driver's listener does it. `optional`: the
        caller can do without the answer, so that a server which cancels the statement is not left out for it.
        """
        self._refuse_if_left_out(kind)
        if kind is None:
            return await self._timed(work)
        async with self._slots:
            await self._turn()
            self._refuse_if_left_out(kind)
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
            except Exception as error:
                self._failed(kind, error, time.monotonic() - begun, optional=optional)
                raise
            finally:
                now = time.monotonic()
                self._statement_log.in_flight -= 1
                took_s = now - begun
                _TOOK_S.set(_TOOK_S.get() + took_s)
                if audited:
                    self._statement_log.answered(kind, took_s=took_s, rows=count, failed=failed)
                self._rows.spend(count)
                if not failed or took_s >= self._timeout_s:  # an immediate error says nothing about the speed
                    self._statement_log.backed_off += self._backoff.saw(kind, took_s, now)

    @property
    def left_out(self) -> bool:
        """Whether the store did not answer in time earlier in this run."""
        return self._silent_since is not None

    def leave_out(self) -> None:
        """Send nothing to the store any more in this run, because it does not answer."""
        self._silent_since = self._silent_since or datetime.now(UTC)

    def _failed(self, kind: str, error: Exception, took_s: float, *, optional: bool) -> None:
        """Note a time-out: that of this class, that of a driver, or that of the server."""
        if isinstance(error, NoAnswer) or (not isinstance(error, TooSlow) and took_s >= self._timeout_s):
            self.leave_out()
        elif isinstance(error, TooSlow) and not _MAY_SHRINK.get():
            self._cancelled.add(kind)
            self._cancellations += not optional
            if self._cancellations >= CANCELLED_MAX:
                self.leave_out()

    def _refuse_if_left_out(self, kind: str | None) -> None:
        if self._silent_since is not None:
            raise NoAnswer(
                f"{self._store} did not answer within {self._timeout_s:g} s at {self._silent_since:%H:%M:%S} UTC and is left out "
                "for the rest of this run. Is it up, or overloaded?"
            )
        if kind in self._cancelled:
            raise TooSlow(
                f"{self._store} cancelled this statement earlier in this run after {self._timeout_s:g} s, so it is not sent again. "
                "Is there an index for it?"
            )

    async def _turn(self) -> None:
        """Wait for the pause file, the back-off and the rates."""
        await self.pause.over()
        while (wait_s := max(self._statements.wait_s, self._rows.wait_s, self._backoff.until - time.monotonic())) > 0:
            self._statement_log.waited_s += wait_s
            await asyncio.sleep(wait_s)
            await self.pause.over()

    async def _timed(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s + self._grace_s):
                return await work()
        except TimeoutError:
            raise NoAnswer(
                f"{self._store} did not answer within {self._timeout_s:g} s. "
                "Is it overloaded? Raise operation_timeout_s of the role if it is only slow."
            ) from None


class ChunkSizer:
    """Adapts the size of chunks (rows, blocks or keys) so that an answer takes about the budget's target time."""

    def __init__(self, budget: StoreBudget, *, at_most: int) -> None:
        self._target_s = budget.chunk_target_s
        self._most = at_most
        self._least = min(budget.chunk_rows_min, at_most)
        self.size = max(self._least, at_most // 4)

    def took(self, seconds: float) -> None:
        """Adapt the size to the time in seconds that the last chunk took."""
        if seconds > self._target_s:
            self.size = max(self._least, int(self.size * max(0.25, self._target_s / seconds)))
        elif seconds < self._target_s / 2:
            self.size = min(
                self._most, max(self.size + 1, int(self.size * min(2.0, self._target_s / max(seconds, 1e-3))))
            )

    def shrink(self) -> bool:
        """Make the size smaller after a chunk exceeded its time limit. Returns False where it is at its minimum."""
        if self.size <= self._least:
            return False
        self.size = max(self._least, self.size // 4)
        return True

    async def take(self, read: Callable[[int], Awaitable[T]]) -> T:
        """Read one chunk of `size` records. One that exceeds its time limit is read again in a smaller size, down to the
        minimum."""
        while True:
            _TOOK_S.set(0.0)
            token = _MAY_SHRINK.set(self.size > self._least)
            try:
                result = await read(self.size)
            except NoAnswer:
                raise
            except TooSlow:
                if not self.shrink():
                    raise
                continue
            finally:
                _MAY_SHRINK.reset(token)
            self.took(_TOOK_S.get())
            return result
