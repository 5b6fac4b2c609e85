"""The engine: runs the checks of a plan concurrently and yields events.

An error in one check becomes the verdict of that check and does not affect the others.
"""

from __future__ import annotations

import asyncio
import collections
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from verifier.checks.registry import Check, NotApplicable
from verifier.engine.plan import Plan, unmapped
from verifier.engine.run_state import Judged, Unfinished
from verifier.engine.waivers import apply_waivers, unused_waivers
from verifier.model.events import (
    CheckFinished,
    CheckStarted,
    Event,
    FindingFound,
    Paused,
    Progress,
    Resumed,
    RunFinished,
    RunStarted,
)
from verifier.model.finding import Finding
from verifier.model.verdict import Judgement, Outcome, RunResult
from verifier.profile.errors import NotMapped
from verifier.profile.models import Profile
from verifier.proofs.checkpoints import Checkpoints, CheckpointStore
from verifier.proofs.context import Context, Memory
from verifier.proofs.scope import Scope
from verifier.stores.budget import Pause
from verifier.stores.builtin.statements import EarlierRuns
from verifier.stores.errors import StoreError
from verifier.stores.pool import Stores
from verifier.stores.statement_log import sum_up

CONCURRENT_CHECKS = 12


@dataclass(kw_only=True)
class Engine:
    """One run of a plan.

    `memory` gives watermarks and positions of earlier runs. `commit` is called with each judged check before its event is
    yielded (None: nothing is stored). `baselining` takes baselines and judges nothing. `only_key` limits the run to one
    record (`recheck`). `last_run_at` is when the last finished run ended. With `unfinished` the engine continues an
    interrupted run: its outcomes are yielded again, not judged again. With `checkpoint_store` the run can be resumed in the
    middle of a check. `result` is set when the run has ended.
    """

    profile: Profile
    plan: Plan
    memory: Memory
    commit: Callable[[Judged], None] | None = None
    baselining: bool = False
    only_key: str | None = None
    max_runtime_s: float | None = None
    pause_file: Path | None = None
    last_run_at: datetime | None = None
    unfinished: Unfinished | None = None
    checkpoint_store: CheckpointStore | None = None
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    result: RunResult | None = None

    def __post_init__(self) -> None:
        if self.unfinished is not None:
            self.run_id = self.unfinished.run_id
        self._checkpoints: Checkpoints | None = None
        self._limits: set[asyncio.Timeout] = set()

    async def events(self) -> AsyncGenerator[Event]:
        """Run the plan and yield events as they occur. Closing the iterator stops the run."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._pause = Pause(self.pause_file)
        earlier = EarlierRuns(reads=self.unfinished.reads if self.unfinished else {}, run_ended_at=self.last_run_at)
        stores = self._stores = Stores(self.profile, pause=self._pause, earlier=earlier)
        self._checkpoints = Checkpoints(self.checkpoint_store, self._reads) if self.checkpoint_store else None
        started = self.unfinished.started_at if self.unfinished else _now()
        ids = tuple(item.id for item in self.plan.checks)
        yield RunStarted(
            run_id=self.run_id, stack=self.profile.stack, phase=self.plan.phase.value, at=started, check_ids=ids
        )
        outcomes: dict[str, Outcome] = {}
        for outcome in self.unfinished.outcomes if self.unfinished else ():
            outcomes[outcome.check_id] = outcome
            yield CheckFinished(outcome=outcome)
        slots = asyncio.Semaphore(CONCURRENT_CHECKS)
        tasks: list[asyncio.Task[None]] = []
        remaining = [item for item in self.plan.checks if item.id not in outcomes]
        for item in sorted(remaining, key=lambda entry: entry.last):
            others = tuple(tasks) if item.last else ()
            tasks.append(asyncio.create_task(self._run_check(item, stores, slots, queue, others)))
        overtime = asyncio.create_task(self._stop_after(tasks))
        pausing = asyncio.create_task(self._watch_pause(queue))
        failures: asyncio.Queue[BaseException] = asyncio.Queue()
        for task in tasks:
            task.add_done_callback(lambda done: _forward_failure(done, queue, failures))
        try:
            while len(outcomes) < len(ids):
                event = await queue.get()
                if event is None:  # a verdict could not be committed; continuing would lose it
                    raise failures.get_nowait()
                if isinstance(event, CheckFinished):
                    outcomes[event.outcome.check_id] = event.outcome
                yield event
        finally:
            overtime.cancel()
            pausing.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await stores.close()
            reads = self._reads()  # after closing, because drivers send commands when they disconnect
            self.result = RunResult(
                run_id=self.run_id,
                stack=self.profile.stack,
                phase=self.plan.phase.value,
                started_at=started,
                ended_at=_now(),
                outcomes=tuple(outcomes[name] for name in ids if name in outcomes),
                notes=(
                    *self.plan.notes,
                    *self._pause_note(),
                    *self._clock_note(),
                    *unused_waivers(tuple(outcomes.values())),
                ),
                interrupted=len(outcomes) < len(ids),
                reads=reads,
                footprints={
                    role: sum_up(stores.statement_logs().get(role), sent=count) for role, count in sorted(reads.items())
                },
            )
        yield RunFinished(result=self.result)

    def _reads(self) -> dict[str, int]:
        """Statements, commands and requests sent to each store, including the first part of a resumed run."""
        reads = collections.Counter(self.unfinished.reads if self.unfinished else {})
        reads.update(self._stores.reads())
        return dict(reads)

    async def _watch_pause(self, queue: asyncio.Queue[Event | None]) -> None:
        """Yield events when the pause file appears and disappears. A pause extends the time limit of checks, not of the run."""

        def passed(seconds: float) -> None:
            for limit in self._limits:
                if (until := limit.when()) is not None and not limit.expired():
                    limit.reschedule(until + seconds)

        where = str(self._pause.path)
        await self._pause.watch(
            lambda: queue.put_nowait(Paused(path=where)),
            lambda after_s: queue.put_nowait(Resumed(path=where, after_s=after_s)),
            passed,
        )

    def _clock_note(self) -> tuple[str, ...]:
        apart = self._stores.clock_note(self.profile.timing.clock_skew_max_s)
        return (f"clocks apart: {apart}; checks that compare their times are inconclusive",) if apart else ()

    def _pause_note(self) -> tuple[str, ...]:
        waited_s = self._pause.waited_s
        return (f"paused for {waited_s:.0f} s by {self._pause.path}",) if waited_s else ()

    async def _stop_after(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        if self.max_runtime_s is None:
            return
        await asyncio.sleep(self.max_runtime_s)
        for task in tasks:
            task.cancel("max-runtime")

    async def _run_check(
        self,
        item: Check,
        stores: Stores,
        slots: asyncio.Semaphore,
        queue: asyncio.Queue[Event | None],
        others: Sequence[asyncio.Task[None]],
    ) -> None:
        """Judge one check and put its events on the queue. Errors become its verdict."""
        started = _now()
        context: Context | None = None
        try:
            if others:
                await asyncio.wait(others)
            async with slots:
                queue.put_nowait(CheckStarted(check_id=item.id, title=item.title))
                started = _now()
                context = self._context(item, stores, queue)
                async with asyncio.timeout(self.profile.timing.check_timeout_s) as limit:
                    self._limits.add(limit)
                    try:
                        judgement = await self._judge(item, context)
                    finally:
                        self._limits.discard(limit)
        except TimeoutError:
            limit_s = self.profile.timing.check_timeout_s
            judgement = Judgement.inconclusive(
                f"not finished within {limit_s:g} s; raise timing.check_timeout_s, or run this check alone (--only)"
            )
        except asyncio.CancelledError as error:
            if "max-runtime" not in error.args:
                raise
            judgement = Judgement.inconclusive(
                f"not finished when --max-runtime ({self.max_runtime_s:g} s) was reached"
            )
        outcome = Outcome(
            check_id=item.id,
            title=item.title,
            severity=item.severity,
            judgement=apply_waivers(judgement, item.id, self.profile, _now().date()),
            started_at=started,
            ended_at=_now(),
            pending=item.id in self.plan.pending,
        )
        if self.commit is not None:
            watermarks = context.watermarks if context else {}
            positions = context.positions if context else ()
            self.commit(Judged(outcome=outcome, watermarks=watermarks, positions=positions, reads=self._reads()))
        queue.put_nowait(CheckFinished(outcome=outcome))

    def _context(self, item: Check, stores: Stores, queue: asyncio.Queue[Event | None]) -> Context:
        def progress(done: int, total: int | None, unit: str) -> None:
            queue.put_nowait(Progress(check_id=item.id, done=done, total=total, unit=unit))

        def found(finding: Finding) -> None:
            queue.put_nowait(FindingFound(finding=finding))

        return Context(
            check_id=item.id,
            severity=item.severity,
            profile=self.profile.model_copy(update={"phase": self.plan.phase}),
            phase=self.plan.phase,
            stores=stores,
            scope=Scope(self.profile, self.plan.phase, stores),
            memory=self.memory,
            progress=progress,
            found=found,
            only_key=self.only_key,
            baselining=self.baselining,
            checkpoints=self._checkpoints,
        )

    async def _judge(self, item: Check, context: Context) -> Judgement:
        if (reason := self.plan.why_not(item)) is not None:
            return Judgement.not_applicable(reason)
        try:
            proofs = item.proofs(context.profile)
        except NotMapped as missing:
            return unmapped(item, context.profile, missing)
        except NotApplicable as reason_why:
            return Judgement.not_applicable(str(reason_why))
        parts = []
        for index, proof in enumerate(proofs):
            context.proof_index = index
            if self.baselining and not proof.takes_baseline:
                continue
            try:
                parts.append(await proof.execute(context))
            except NotMapped as missing:
                parts.append(unmapped(item, context.profile, missing))
            except StoreError as error:
                parts.append(Judgement.inconclusive(str(error)))
            except Exception as error:  # a check that crashes is inconclusive; the other checks continue
                parts.append(
                    Judgement.inconclusive(
                        f"the check crashed: {type(error).__name__}: {error}. This is a bug in the check or in the verifier."
                    )
                )
        return Judgement.merge(parts) if parts else Judgement.not_applicable("no baseline needed")


def _forward_failure(
    done: asyncio.Task[None], queue: asyncio.Queue[Event | None], failures: asyncio.Queue[BaseException]
) -> None:
    """Pass the exception of a failed task on to the reader of the queue. Only a failed commit raises."""
    if not done.cancelled() and (error := done.exception()) is not None:
        failures.put_nowait(error)
        queue.put_nowait(None)


def _now() -> datetime:
    return datetime.now(UTC)
