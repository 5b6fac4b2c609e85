"""`serve`: scheduler, runner and web server in one process.

SIGTERM ends the service within `STOP_GRACE_S` and interrupts a run in progress; the run is resumed when the service starts
again. SIGHUP starts a run at once. The profile is loaded again before each run; if that fails, the previous one is used.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from starlette.applications import Starlette

from verifier.model.redact import clean
from verifier.model.verdict import ExitCode
from verifier.profile import ProfileError
from verifier.profile.cron import cron_trigger
from verifier.profile.timing import Schedule
from verifier.service.canary import run_canary
from verifier.service.runner import Runner
from verifier.service.web import make_app

STOP_GRACE_S = 10.0
"""Seconds that an interrupted run has to store its state."""

RUN, CANARY = "run", "canary"
_log = logging.getLogger(__name__)


class Service:
    """The scheduler and the tasks it starts, on the event loop of the web server."""

    def __init__(self, profile_path: Path, checks: Sequence[Path]) -> None:
        self._path = profile_path
        self.runner = Runner(profile_path, checks)
        self._scheduler = AsyncIOScheduler(
            # After missed schedules (a suspended machine), run once.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        self._scheduled: Schedule | None = None
        self._runs: set[asyncio.Task[Any]] = set()
        self._canary_tasks: set[asyncio.Task[Any]] = set()

    @property
    def next_run_at(self) -> datetime | None:
        """The time of the next scheduled run."""
        job = self._scheduler.get_job(RUN)
        due: datetime | None = getattr(job, "next_run_time", None)
        return due

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Start the scheduler with the web server, and stop it with the web server."""
        self._schedule()
        self._scheduler.start()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.run_now)
        if self.runner.unfinished:
            self.run_now()
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            await self._stop()

    def run_now(self) -> None:
        """Start a run outside the schedule. The runner skips it while a run is in progress."""
        task = asyncio.get_running_loop().create_task(self._run())
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    async def _run(self) -> None:
        with self._tracked(self._runs):
            # abandon_on_cancel: a store that hangs does not keep this task from ending.
            await anyio.to_thread.run_sync(self.runner.run, abandon_on_cancel=True)
        if not self.runner.stopping:
            self._schedule()

    async def _run_canary(self) -> None:
        with self._tracked(self._canary_tasks):
            await run_canary(self._path, self.runner.state.canary)

    @contextmanager
    def _tracked(self, tasks: set[asyncio.Task[Any]]) -> Iterator[None]:
        """Add the current task to `tasks` while it runs, for `_stop`."""
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            yield
        finally:
            tasks.discard(task)

    def _schedule(self) -> None:
        """Apply the schedule of the current profile."""
        wanted = self.runner.state.profile.schedule
        if wanted == self._scheduled:
            return
        self._scheduled = wanted
        for name, cron, what in ((RUN, wanted.cron, self._run), (CANARY, wanted.canary_cron, self._run_canary)):
            if cron is not None:
                self._scheduler.add_job(what, cron_trigger(cron), id=name, replace_existing=True)
            elif self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)

    async def _stop(self) -> None:
        """Interrupt runs in progress, and wait up to `STOP_GRACE_S` until they have stored that in the history."""
        self._scheduler.pause()
        self.runner.stop()
        for task in self._canary_tasks:
            task.cancel()
        if pending := self._runs | self._canary_tasks:
            _, late = await asyncio.wait(pending, timeout=STOP_GRACE_S)
            if late:
                _log.warning("a run did not end within %g s and was abandoned", STOP_GRACE_S)
        self._scheduler.shutdown(wait=False)


class CleanFormatter(logging.Formatter):
    """Removes secrets and control characters from log lines, including those of libraries."""

    def format(self, record: logging.LogRecord) -> str:
        """The cleaned line, including its traceback."""
        return clean(super().format(record))


def serve_forever(profile_path: Path, *, host: str, port: int, checks: Sequence[Path]) -> ExitCode:
    """Serve until SIGTERM or SIGINT. Exit: 0 after SIGTERM, 130 after SIGINT.

    Raises ProfileError for a profile, a check file or an address that cannot be used, HistoryError for the history.
    """
    _set_up_logging()
    service = Service(profile_path, checks)
    listener = _listen(host, port)
    ended_by: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn handles the signals while it runs and raises them again afterwards; these handlers record them.
        signal.signal(number, lambda received, _: ended_by.append(received))
    app = make_app(service.runner.state, lambda: service.next_run_at, service.lifespan)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=3, lifespan="on"
    )
    address, bound = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    sys.stdout.write(f"serving {clean(service.runner.state.profile.stack)} on http://{shown}:{bound}\n")
    sys.stdout.flush()
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
    return ExitCode.INTERRUPTED if signal.SIGINT in ended_by else ExitCode.HOLDS


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ProfileError(f"cannot listen on {host}:{port}: {reason}. Choose another --host or --port.") from None


def _set_up_logging() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(CleanFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("verifier.service").setLevel(logging.INFO)
