"""The event loop beside the greenlets: users are handed over, figures are handed back, nothing else is shared.

`start` runs the loop in a thread that its caller provides: under gevent one of the hub's native threads, else any.
Methods that are said to be safe may be called from other threads; all the rest happens in the loop.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import fields
from typing import Any, Final

import uvloop

from load.engine.figures import Figures
from load.engine.member import Member
from load.engine.outages import catch_up, outages
from load.engine.plan import EnginePlan, UserPlan
from load.engine.promise import Promise
from load.engine.readback import read_all_back
from load.engine.schedule import Schedule
from load.journal.layout import OK, WORKER_SHIFT, Kind, code_of
from load.journal.writer import ColumnWriter
from verifier.judges.journal import JournalError

BATCH_S: Final = 0.2
"""How often figures are handed over and the journal is written."""

_TICK_S: Final = 0.5
_POLL_S: Final = 0.02


class Engine:
    """One process's users, their journal and their figures."""

    def __init__(self, plan: EnginePlan, journal: ColumnWriter) -> None:
        self.plan = plan
        self.journal = journal
        self.figures = Figures()
        self.count = 0
        self.open_sends = 0
        self.begin: dict[str, int] = {}
        self.lane_acked: list[int] = []
        self.lanes_of: dict[str, list[int]] = {}
        self.unsure: set[int] = set()
        self.number_base = plan.worker << WORKER_SHIFT
        self.ack_deadline_ns = round(plan.ack_deadline_s * 1e9)
        self.wall_ns = journal.header.time_ns - journal.header.monotonic_ns
        self.broken: JournalError | None = None
        self.members: dict[str, Member] = {}
        self._batches: deque[Figures] = deque(maxlen=10_000)
        self._schedule = Schedule(self.figures, self._fail)
        self._ready: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._outages: asyncio.Task[None] | None = None
        self._limit = asyncio.Semaphore(64)

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
        """One more user; safe."""
        self._soon(self._add, plan)

    def pause(self, user_id: str) -> None:
        """This user sends no more; it stays connected and reads. Safe."""
        self._soon(self._pause, user_id)

    def is_ready(self, user_id: str) -> bool:
        """Whether this user was connected and warm once; safe."""
        return user_id in self._ready

    def unread(self, user_id: str) -> tuple[str, int] | None:
        """A user's conversation and its newest seq that was pushed, if this user has not marked it as read. Safe."""
        member = self.members.get(user_id)
        if member is None or not member.plan.targets or member.newest_seq <= member.marked_seq:
            return None
        return member.plan.targets[0].conversation, member.newest_seq

    def marked(self, user_id: str, conversation: str, seq: int, phase: int, err_code: int) -> None:
        """A user marked a conversation as read, and this came of it. Safe."""
        self._soon(self._marked, self.members[user_id], conversation, seq, phase, err_code, time.monotonic_ns())

    def now_ns(self) -> int:
        """The time of this engine's journal, as Unix time; safe."""
        return time.monotonic_ns() + self.wall_ns

    def compared(self, offset_ns: int, error_ns: int) -> None:
        """This clock was compared with the master's. Safe."""
        self._soon(self._compared, offset_ns, error_ns)

    def take(self) -> list[Figures]:
        """What was counted since the last time; safe."""
        found = []
        while self._batches:
            found.append(self._batches.popleft())
        return found

    def finish(self, *, settle_s: float, deadline_s: float) -> Promise:
        """Stop sending, wait for answers, let things settle, read everything back, close. Safe.

        `deadline_s` is how long acknowledged messages are waited for that cannot be read yet.
        """
        promise = Promise()
        self._soon(self._task, self._finish(promise, settle_s, deadline_s))
        return promise

    def abandon(self) -> None:
        """End without a word: what is open stays open. Safe."""
        self._soon(lambda: self._end.set() if self._end else None)

    def _soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        if self._loop is None:
            raise RuntimeError("the engine does not run")
        self._loop.call_soon_threadsafe(call, *arguments)

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
        self._task(self._look_after())
        if self.plan.outage_every_s:
            self._outages = self._task(outages(self))
        self._end = asyncio.Event()
        await self._end.wait()
        for member in self.members.values():
            member.keep = False
            member.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hand_over()

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """The journal takes nothing more: a run that cannot be accounted for is of no use to anybody."""
        if isinstance(error, JournalError):
            self.broken = self.broken or error
            for member in self.members.values():
                member.sending = False
        else:
            self.figures.trouble(f"engine: {type(error).__name__}: {error}"[:200])

    def _add(self, plan: UserPlan) -> None:
        try:
            member = self.members[plan.user_id] = Member(self, plan)
        except JournalError as error:
            self._fail(error)
            return
        self._task(self._live(member))

    async def _live(self, member: Member) -> None:
        # So many handshakes at a time; a thousand at once would measure the listen queue.
        async with self._limit:
            await asyncio.sleep(0)
        await member.live()

    def _pause(self, user_id: str) -> None:
        if (member := self.members.get(user_id)) is not None:
            member.sending = False

    def _marked(self, member: Member, conversation: str, seq: int, phase: int, err_code: int, at_ns: int) -> None:
        if phase == OK:
            member.marked_seq = max(member.marked_seq, seq)
        try:
            self.journal.event(
                Kind.MARKED,
                at_ns,
                member.user,
                self.journal.conversation(conversation, ()),
                phase,
                code_of(err_code),
                seq,
            )
        except JournalError as error:
            self._fail(error)

    def _compared(self, offset_ns: int, error_ns: int) -> None:
        try:
            self.journal.clock(offset_ns, error_ns)
        except JournalError as error:
            self._fail(error)

    def was_ready(self, member: Member) -> bool:
        """Whether a member has been ready before."""
        return member.plan.user_id in self._ready

    def came_back(self, member: Member) -> None:
        """A member that was away on purpose reads what it missed."""
        self._task(catch_up(self, member))

    def became_ready(self, member: Member) -> None:
        """A member's first message is due from now on."""
        self._ready.add(member.plan.user_id)
        now_ns = time.monotonic_ns()
        if member.plan.due_s is None:
            for _ in range(self.plan.window):
                member.due(now_ns)
        else:
            self._schedule.follow(member, member.plan.due_s, now_ns)

    def acked_in(self, conversation: str) -> int:
        """How many sends to this conversation were acknowledged."""
        return sum(self.lane_acked[lane] for lane in self.lanes_of.get(conversation, ()))

    def again(self, member: Member, now_ns: int) -> None:
        """The closed model: an answer is in, the next message follows."""
        if not self.plan.think_s:
            member.due(now_ns)
        else:
            self._schedule.once(member, now_ns + round(self.plan.think_s * 1e9))

    def _batch(self, planned_s: float) -> None:
        now_s = time.monotonic()
        self.figures.lag_ns = max(self.figures.lag_ns, round((now_s - planned_s - BATCH_S) * 1e9))
        self._hand_over()
        if self._loop is not None:
            self._loop.call_later(BATCH_S, self._batch, now_s)

    def _hand_over(self) -> None:
        """Give the figures away, start new ones in the same object, and write the journal."""
        given, empty = Figures(), Figures()
        for one in fields(Figures):
            setattr(given, one.name, getattr(self.figures, one.name))
            setattr(self.figures, one.name, getattr(empty, one.name))
        self._batches.append(given)
        try:
            self.journal.flush()
        except JournalError as error:
            if self._end is not None and not self._end.is_set():
                self._fail(error)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
            now_ns = time.monotonic_ns()
            for member in tuple(self.members.values()):
                member.tick(now_ns)

    @property
    def backlog(self) -> int:
        """How many due messages wait, over all users; safe."""
        return sum(member.backlog for member in tuple(self.members.values()))

    @property
    def connected(self) -> int:
        """How many users are ready; safe."""
        return sum(member.ready for member in tuple(self.members.values()))

    async def _finish(self, promise: Promise, settle_s: float, deadline_s: float) -> None:
        try:
            if self._outages is not None:
                self._outages.cancel()
            for member in self.members.values():
                member.sending = False
            self._schedule.clear()
            until_s = time.monotonic() + self.plan.ack_deadline_s + 2 * _TICK_S
            while self.open_sends and time.monotonic() < until_s:  # noqa: ASYNC110 - counted on the hot path
                await asyncio.sleep(_POLL_S)
            await read_all_back(self, settle_s=settle_s, deadline_s=deadline_s)
            for member in self.members.values():
                member.keep = False
                member.abort()
            await asyncio.sleep(0)
            self.journal.close()
        except JournalError as error:
            promise.error = error
        finally:
            if self._end is not None:
                self._end.set()
            promise.done = True
