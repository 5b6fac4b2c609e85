"""Runs one run at a time, in a thread, with the profile that is on disk at that moment."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import Registry
from verifier.engine.plan import make_plan
from verifier.engine.resume import plan_document, why_not
from verifier.engine.session import Pace, execute, open_history
from verifier.engine.waivers import accepted_ids
from verifier.history import History, HistoryBusy, HistoryError, RunKind, RunState
from verifier.model.events import CheckFinished, Event, FindingFound, RunStarted
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode, RunResult, Verdict
from verifier.profile import Profile, ProfileError, load_profile
from verifier.service.state import Ending, ServiceState

_log = logging.getLogger(__name__)
_RUNS_MAX = 50


def read_profile(path: Path) -> Profile:
    """Load a profile and check that a service can use it. Raises ProfileError."""
    profile = load_profile(path)
    if profile.history == "memory:":
        raise ProfileError(
            "a service needs a history that is kept from run to run. Set history to a file or to a postgresql:// URL."
        )
    return profile


def exit_code_of(result: RunResult, profile: Profile) -> ExitCode:
    """The exit code of `verifier run` for this result today."""
    return result.exit_code(accepted=accepted_ids(profile, datetime.now(UTC).date()))


class Runner:
    """Runs the checks. `run` blocks, so call it in a thread; `stop` may be called from any thread."""

    def __init__(self, profile_path: Path, checks: Sequence[Path]) -> None:
        self._path = profile_path
        self._registry: Registry = load_checks(checks)
        self.state = ServiceState(profile=read_profile(profile_path))
        self._busy = threading.Lock()
        self._guard = threading.Lock()
        self._stopping = False
        self._inside: tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None = None
        self.unfinished = False
        """Whether the last run was interrupted, by the end of an earlier service, and can be resumed."""
        self._load_latest()

    def _load_latest(self) -> None:
        """Load the newest complete run from the history, so that the state survives a restart."""
        profile = self.state.profile
        with open_history(profile) as history:
            found = latest_run(history, checks=len(self._registry.select()))
            with suppress(HistoryBusy), history.lock():
                document = plan_document(profile, make_plan(self._registry, profile))
                limit_s = profile.timing.resume_within_s
                self.unfinished = why_not(history.interrupted_run(), document, datetime.now(UTC), limit_s) is None
        if found is not None:
            self.state.latest, self.state.latest_code = found, exit_code_of(found, self.state.profile)

    def run(self) -> None:
        """Run once, unless a run is in progress. Errors are recorded in the state and never raised."""
        if not self._busy.acquire(blocking=False):
            self._end(Ending.SKIPPED, "")
            return
        self.state.running_since = datetime.now(UTC)
        try:
            self._reload()
            self._run(self.state.profile)
        except HistoryBusy as error:
            _log.warning("%s", error)
            self._end(Ending.SKIPPED, "")
        except (HistoryError, ProfileError) as error:
            self._end(Ending.FAILED, str(error))
        except KeyboardInterrupt:
            self._end(Ending.INTERRUPTED, "")
        except Exception as error:
            _log.debug("the run failed", exc_info=True)
            self._end(Ending.FAILED, f"internal error: {type(error).__name__}: {error}")
        finally:
            self.state.running_since = None
            self._busy.release()

    def stop(self) -> None:
        """Interrupt a run that is in progress, and start no further one."""
        with self._guard:
            self._stopping = True
            if self._inside is not None:
                loop, task = self._inside
                with suppress(RuntimeError):  # the run ended at the same moment
                    loop.call_soon_threadsafe(task.cancel)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def _reload(self) -> None:
        try:
            self.state.profile = read_profile(self._path)
            self.state.profile_error = ""
        except ProfileError as error:
            self.state.profile_error = clean(str(error))
            _log.error("the profile on disk cannot be used; continuing with the previous one: %s", error)

    def _run(self, profile: Profile) -> None:
        plan = make_plan(self._registry, profile)
        try:
            with open_history(profile) as history:
                result = execute(profile, plan, history, kind=RunKind.RUN, handle=self._watch, pace=Pace(resume=True))
        finally:
            with self._guard:
                self._inside = None
        self.state.reads.update(result.reads)
        if result.interrupted:
            self._end(Ending.INTERRUPTED, "")
            return
        self.state.latest, self.state.latest_code = result, exit_code_of(result, profile)
        self._end(Ending.FINISHED, "")
        violated, unknown = result.count(Verdict.VIOLATED), result.count(Verdict.INCONCLUSIVE)
        _log.info("run %s finished: %d violated, %d inconclusive", result.run_id, violated, unknown)

    def _end(self, ending: Ending, failure: str) -> None:
        self.state.endings[ending] += 1
        if ending is not Ending.SKIPPED:
            self.state.failure = clean(failure)
        if failure:
            _log.error("the run failed: %s", failure)

    def _watch(self, event: Event) -> None:
        """Handle an event in the thread of the run: remember the task for `stop`, and log findings."""
        match event:
            case RunStarted():
                task = asyncio.current_task()
                with self._guard:
                    if task is not None:
                        self._inside = (asyncio.get_running_loop(), task)
                    if self._stopping and task is not None:
                        task.cancel()
                _log.info("run %s of %s started, phase %s", event.run_id, event.stack, event.phase)
            case FindingFound():
                _log.warning("%s: %s", event.finding.check_id, event.finding.summary)
            case CheckFinished() if event.outcome.verdict is Verdict.INCONCLUSIVE:
                _log.warning("%s is inconclusive: %s", event.outcome.check_id, event.outcome.judgement.reason)
            case _:
                pass


def latest_run(history: History, *, checks: int) -> RunResult | None:
    """The newest finished run that judged at least `checks` checks, or None. Runs of `--only` judge fewer."""
    for run in history.runs(_RUNS_MAX):
        if run.kind is RunKind.RUN and run.state is RunState.FINISHED and sum(run.counts.values()) >= checks:
            return history.result(run.run_id)
    return None
