"""A run from profile to result: plan, history, lock, resume. `verifier.run`, the command line and the service use it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from verifier.checks.catalogue import load_checks
from verifier.engine.engine import Engine
from verifier.engine.pending_checks import with_pending
from verifier.engine.plan import Plan, make_plan
from verifier.engine.resume import plan_document, resume_note, why_not
from verifier.engine.run_state import Judged, Unfinished
from verifier.history import History, HistoryError, LockLost, RunKind, RunState
from verifier.model.events import Event, RunFinished
from verifier.model.verdict import RunResult
from verifier.profile import Profile, load_profile

OnEvent = Callable[[Event], None]


def _ignore(event: Event) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a run is carried out, apart from what it judges.

    `max_runtime_s`: seconds after which the run stops; checks without a verdict are then inconclusive. None: no limit.
    `resume`: continue the last run if it was interrupted and asks the same question, else start a new one.
    `pause_file`: while this file exists, nothing is sent to any store. None: `timing.pause_file` of the profile.
    """

    max_runtime_s: float | None = None
    resume: bool = False
    pause_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """A profile, the plan made from it, and its open history."""

    profile: Profile
    plan: Plan
    history: History

    def run(self, on_event: OnEvent, pace: Pace | None = None) -> RunResult:
        """Run the plan. A plan for another phase than the profile's is a what-if: it stores only verdicts."""
        kind = RunKind.WHAT_IF if self.plan.what_if else RunKind.RUN
        return execute(self.profile, self.plan, self.history, kind=kind, handle=on_event, pace=pace)


@contextmanager
def open_session(
    profile: Profile | Path | str,
    *,
    only: Sequence[str] = (),
    phase: str | None = None,
    checks: Sequence[Path | str] = (),
) -> Iterator[Session]:
    """Load the profile, plan the run and open the history, in this order. Raises ProfileError, HistoryError."""
    loaded = profile if isinstance(profile, Profile) else load_profile(Path(profile))
    plan = make_plan(load_checks([Path(file) for file in checks]), loaded, only=only, phase=phase)
    with open_history(loaded) as history:
        yield Session(profile=loaded, plan=plan, history=history)


def run(
    profile: Profile | Path | str,
    *,
    only: Sequence[str] = (),
    phase: str | None = None,
    checks: Sequence[Path | str] = (),
    on_event: OnEvent | None = None,
    pace: Pace | None = None,
) -> RunResult:
    """Judge every invariant of a stack, as `verifier run` does, and store the result in the history.

    Arguments:
        profile: the profile, or the path of its TOML file.
        only: check IDs or families, such as `USR-01` or `USR`. Empty: all checks.
        phase: judge as if the stack were in this phase. Such a what-if run stores only verdicts.
        checks: Python files with checks of your own.
        on_event: called with every event of `verifier.model.events`, in the thread of the run.
        pace: time limit, pause file, and whether to resume an interrupted run.

    Returns the result: `outcomes` by check, `notes`, and `exit_code()`. SIGINT and SIGTERM end the run early; the result
    then has `interrupted` set. Blocks until the run has ended, and starts an event loop: from async code, call it in a
    thread.

    Raises ProfileError for a profile, check, phase or check file that cannot be used, HistoryError if the history cannot
    be used, HistoryBusy (a HistoryError) if another run of this stack is in progress.
    """
    with open_session(profile, only=only, phase=phase, checks=checks) as session:
        return session.run(on_event or _ignore, pace)


def open_history(profile: Profile) -> History:
    """Open the history that the profile names. Raises HistoryError."""
    return History.open(profile.history, stack=profile.stack)


def execute(
    profile: Profile,
    plan: Plan,
    history: History,
    *,
    kind: RunKind,
    handle: OnEvent,
    pace: Pace | None = None,
) -> RunResult:
    """Run a plan under the lock of the stack, and commit each check as soon as it is judged.

    Only a run of kind RUN can be resumed. Raises RunNotStored if the history cannot be written during the run, and HistoryError if
    it cannot be used.
    """
    pace = pace or Pace()
    document = plan_document(profile, plan)
    with history.lock():
        plan = with_pending(plan, history, profile.pending)
        unfinished, note = _unfinished(history, document, profile, asked=pace.resume and kind is RunKind.RUN)
        engine = Engine(
            profile=profile,
            plan=replace(plan, notes=(*plan.notes, *note)),
            memory=history,
            commit=lambda judged: commit(history, judged),
            baselining=kind is RunKind.BASELINE,
            max_runtime_s=pace.max_runtime_s,
            pause_file=pace.pause_file or _pause_file(profile),
            last_run_at=_last_run_at(history),
            unfinished=unfinished,
            checkpoint_store=history if kind is RunKind.RUN else None,
        )
        if unfinished is None:
            resumable = document if kind is RunKind.RUN else None
            history.begin(engine.run_id, plan.phase.value, datetime.now(UTC), kind=kind, plan=resumable)
        else:
            history.resume(engine.run_id)
        try:
            result = run_engine(engine, handle)
            history.finish(result)
        except LockLost:
            raise
        except HistoryError as error:
            if engine.result is None:
                raise
            raise RunNotStored(engine.result, str(error)) from error
    return result


class RunNotStored(HistoryError):
    """The history could not be written while a run was in progress, for example because its disk is full.

    Attributes:
        result: what was judged until then. Checks without an outcome were not judged.
    """

    def __init__(self, result: RunResult, cause: str) -> None:
        super().__init__(cause)
        self.result = result


def commit(history: History, judged: Judged) -> None:
    """Store a judged check in one transaction."""
    history.commit_check(judged.outcome, judged.watermarks, judged.positions, reads=judged.reads)


def run_engine(engine: Engine, handle: OnEvent = _ignore) -> RunResult:
    """Run an engine to its end in a new event loop, and call `handle` with each event.

    SIGINT and SIGTERM end the run early; the result then has `interrupted` set.
    """

    async def drain() -> None:
        task = asyncio.current_task()
        if task is not None and threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with aclosing(engine.events()) as events:
            async for event in events:
                handle(event)

    try:
        asyncio.run(drain())
    except (KeyboardInterrupt, asyncio.CancelledError):
        if engine.result is None:
            raise KeyboardInterrupt from None
        handle(RunFinished(result=engine.result))
    if engine.result is None:
        raise RuntimeError("the run ended without a result")
    return engine.result


def _pause_file(profile: Profile) -> Path | None:
    return Path(profile.timing.pause_file) if profile.timing.pause_file else None


def _last_run_at(history: History) -> datetime | None:
    """When the last finished run ended."""
    finished = (run for run in history.runs() if run.kind is RunKind.RUN and run.state is RunState.FINISHED)
    return next((run.ended_at for run in finished), None)


def _unfinished(
    history: History, document: Mapping[str, Any], profile: Profile, *, asked: bool
) -> tuple[Unfinished | None, tuple[str, ...]]:
    """The interrupted run to resume, or None, and a note for the report. `asked`: whether to resume at all."""
    interrupted = history.interrupted_run()
    reason = why_not(interrupted, document, datetime.now(UTC), profile.timing.resume_within_s)
    if not asked:
        hint = (
            f"run {interrupted.run_id} was interrupted; `verifier run --resume` would have continued it"
            if interrupted
            else ""
        )
        return None, (hint,) if hint and reason is None else ()
    before = history.result(interrupted.run_id) if interrupted else None
    if reason is not None or interrupted is None or before is None:
        return None, (f"{reason}; this is a new run",) if interrupted else ()
    found = Unfinished(
        run_id=interrupted.run_id,
        started_at=interrupted.started_at,
        outcomes=before.outcomes,
        reads=before.reads,
    )
    return found, (resume_note(interrupted, len(document["checks"])),)
