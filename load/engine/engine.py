"""The engine: an event loop in a thread of its own. It takes users and returns figures; nothing else is shared.

`start` runs the loop in a thread that the caller provides: under gevent a native thread of the hub, otherwise any.
Methods marked "Thread-safe" may be called from other threads; all others run in the loop.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import fields
from typing import Any, Final

import uvloop

from load.engine.figures import Figures
from load.engine.outages import catch_up, outages
from load.engine.patience import Patience
from load.engine.plan import EnginePlan, UserPlan
from load.engine.readback import read_all_back
from load.engine.record import RunRecord
from load.engine.schedule import Schedule
from load.engine.user import EngineUser
from load.journal.layout import OK, Kind, code_of
from load.journal.writer import ColumnWriter
from verifier.judges.journal import JournalError

BATCH_S: Final = 0.2
"""The period at which figures are returned and the journal is written."""

_TICK_S: Final = 0.5
_POLL_S: Final = 0.02
_HANDSHAKES: Final = 64


class LoadEngine:
    """One process's users, their journal and their figures.

    Attributes:
        broken: the journal cannot be written any more, and why.
        draining: how far the read-back at the end is; None before it.
    """

    def __init__(self, plan: EnginePlan, journal: ColumnWriter) -> None:
        self.plan = plan
        self.record = RunRecord(plan, journal)
        self.users: dict[str, EngineUser] = {}
        self.broken: JournalError | None = None
        self.draining: Patience | None = None
        self._figures = self.record.figures
        self._batches: deque[Figures] = deque(maxlen=10_000)
        self._schedule = Schedule(self._figures, self._fail)
        self._ready: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._outages: asyncio.Task[None] | None = None
        self._handshakes = asyncio.Semaphore(_HANDSHAKES)

    # from other threads

    def start(self, spawn: Callable[[Callable[[], None]], Any]) -> None:
        """Run the loop in a thread that `spawn` makes; returns when it runs."""
        spawn(self._run)
        until_s = time.monotonic() + 10
        while self._end is None:
            if time.monotonic() > until_s:
                raise RuntimeError("the engine's thread did not start")
            time.sleep(0.001)

    def add(self, plan: UserPlan) -> None:
        """Connect one more user. Thread-safe."""
        self._soon(self._add, plan)

    def pause(self, user_id: str) -> None:
        """This user sends no more; it stays connected and reads. Thread-safe."""
        self._soon(self._pause, user_id)

    def is_ready(self, user_id: str) -> bool:
        """Whether this user has been connected and warmed up once. Thread-safe."""
        return user_id in self._ready

    def unread(self, user_id: str) -> tuple[str, int] | None:
        """A user's conversation and its newest pushed seq, unless this user has marked it as read. Thread-safe."""
        user = self.users.get(user_id)
        if user is None or not user.plan.targets or user.newest_seq <= user.marked_seq:
            return None
        return user.plan.targets[0].conversation, user.newest_seq

    def marked(self, user_id: str, conversation: str, seq: int, phase: int, err_code: int) -> None:
        """Record the outcome of a user's marking a conversation as read. Thread-safe."""
        self._soon(self._marked, self.users[user_id], conversation, seq, phase, err_code, time.monotonic_ns())

    def now_ns(self) -> int:
        """The time of this engine's journal, as Unix time. Thread-safe."""
        return time.monotonic_ns() + self.record.wall_ns

    def record_clock(self, offset_ns: int, error_ns: int) -> None:
        """Record how far this clock is from the master's. Thread-safe."""
        self._soon(self._record_clock, offset_ns, error_ns)

    def take(self) -> list[Figures]:
        """What was counted since the last call. Thread-safe."""
        found = []
        while self._batches:
            found.append(self._batches.popleft())
        return found

    def finish(self, *, settle_s: float, quiet_s: float, deadline_s: float) -> Future[None]:
        """Stop sending, wait for answers, read everything back, close. Thread-safe.

        The read-back waits for acknowledged messages that cannot be read yet, while others become readable: it ends when nothing
        did for `quiet_s`, and after `deadline_s` at the latest. `draining` shows how far it is. The future raises JournalError.
        """
        future: Future[None] = Future()
        self._soon(self._task, self._finish(future, settle_s, quiet_s, deadline_s))
        return future

    @property
    def unstored(self) -> int:
        """How many acknowledged messages are not known to be readable: no push of them or of a later one came. Thread-safe."""
        newest: dict[str, int] = {}
        for user in tuple(self.users.values()):
            if user.plan.targets:
                name = user.plan.targets[0].conversation
                newest[name] = max(newest.get(name, 0), user.newest_seq)
        record = self.record
        readable = {name: max(0, seq - record.begin.get(name, seq + 1) + 1) for name, seq in newest.items()}
        return sum(max(0, record.acked_in(name) - count) for name, count in readable.items())

    @property
    def backlog(self) -> int:
        """How many due messages wait, over all users. Thread-safe."""
        return sum(user.backlog for user in tuple(self.users.values()))

    def _soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        if self._loop is None:
            raise RuntimeError("the engine does not run")
        self._loop.call_soon_threadsafe(call, *arguments)

    # what users report (`UserEvents`)

    def user_ready(self, user: EngineUser) -> None:
        """See `UserEvents`."""
        self._ready.add(user.plan.user_id)
        now_ns = time.monotonic_ns()
        if user.plan.due_s is None:
            for _ in range(self.plan.traffic.window):
                user.due(now_ns)
        else:
            self._schedule.follow(user, user.plan.due_s, now_ns)

    def user_returned(self, user: EngineUser) -> None:
        """See `UserEvents`."""
        self._task(catch_up(self.record, user))

    def user_answered(self, user: EngineUser, now_ns: int) -> None:
        """See `UserEvents`."""
        think_s = self.plan.traffic.think_s
        if not think_s:
            user.due(now_ns)
        else:
            self._schedule.once(user, now_ns + round(think_s * 1e9))

    # in the loop

    def _run(self) -> None:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._main())
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.call_later(BATCH_S, self._batch, time.monotonic())
        self._task(self._tick())
        if self.plan.traffic.outage_every_s:
            self._outages = self._task(outages(self.record, self.users))
        self._end = asyncio.Event()
        await self._end.wait()
        self._disconnect_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._return_figures()

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Stop sending once the journal cannot be written: the rest of the run could not be accounted for."""
        if isinstance(error, JournalError):
            self.broken = self.broken or error
            for user in self.users.values():
                user.sending = False
        else:
            self._figures.count_error(f"engine: {type(error).__name__}: {error}"[:200])

    def _add(self, plan: UserPlan) -> None:
        try:
            user = self.users[plan.user_id] = EngineUser(self.record, plan, self)
        except JournalError as error:
            self._fail(error)
            return
        self._task(self._run_user(user))

    async def _run_user(self, user: EngineUser) -> None:
        # The number of handshakes at a time is limited; a thousand at once would measure the listen queue.
        async with self._handshakes:
            await asyncio.sleep(0)
        await user.run()

    def _pause(self, user_id: str) -> None:
        if (user := self.users.get(user_id)) is not None:
            user.sending = False

    def _marked(self, user: EngineUser, conversation: str, seq: int, phase: int, err_code: int, at_ns: int) -> None:
        if phase == OK:
            user.marked_seq = max(user.marked_seq, seq)
        journal = self.record.journal
        try:
            chat = journal.conversation(conversation, ())
            journal.event(Kind.MARKED, at_ns, user.user, chat, phase, code_of(err_code), seq)
        except JournalError as error:
            self._fail(error)

    def _record_clock(self, offset_ns: int, error_ns: int) -> None:
        try:
            self.record.journal.clock(offset_ns, error_ns)
        except JournalError as error:
            self._fail(error)

    def _batch(self, planned_s: float) -> None:
        now_s = time.monotonic()
        self._figures.lag_ns = max(self._figures.lag_ns, round((now_s - planned_s - BATCH_S) * 1e9))
        self._return_figures()
        if self._loop is not None:
            self._loop.call_later(BATCH_S, self._batch, now_s)

    def _return_figures(self) -> None:
        """Move the figures into a batch, reset the shared object, and write the journal."""
        batch, empty = Figures(), Figures()
        for one in fields(Figures):
            setattr(batch, one.name, getattr(self._figures, one.name))
            setattr(self._figures, one.name, getattr(empty, one.name))
        self._batches.append(batch)
        try:
            self.record.journal.flush()
        except JournalError as error:
            if self._end is not None and not self._end.is_set():
                self._fail(error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
            now_ns = time.monotonic_ns()
            for user in tuple(self.users.values()):
                user.tick(now_ns)

    def _disconnect_all(self) -> None:
        for user in self.users.values():
            user.keep = False
            user.abort()

    async def _finish(self, future: Future[None], settle_s: float, quiet_s: float, deadline_s: float) -> None:
        failure: JournalError | None = None
        try:
            if self._outages is not None:
                self._outages.cancel()
            for user in self.users.values():
                user.sending = False
            self._schedule.clear()
            until_s = time.monotonic() + self.plan.ack_deadline_s + 2 * _TICK_S
            while self.record.open_sends and time.monotonic() < until_s:  # noqa: ASYNC110 - counted on the hot path
                await asyncio.sleep(_POLL_S)
            self.draining = Patience(quiet_s=quiet_s, deadline_s=deadline_s)
            await read_all_back(self.record, self.users.values(), self.draining, settle_s=settle_s)
            self._disconnect_all()
            await asyncio.sleep(0)
            self.record.journal.close()
        except JournalError as error:
            failure = error
        finally:
            if self._end is not None:
                self._end.set()
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)


def wait_for(future: Future[None], sleep: Callable[[float], None], timeout_s: float) -> None:
    """Wait for a future of the engine by polling: under gevent, `sleep` lets other greenlets run.

    Raises the future's exception, and TimeoutError.
    """
    until_s = time.monotonic() + timeout_s
    while not future.done():
        if time.monotonic() > until_s:
            raise TimeoutError("the engine did not finish in time")
        sleep(_POLL_S)
    future.result(0)
