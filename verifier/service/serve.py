"""`serve`: scheduler, runner and web server in one process, ended by SIGTERM in time.

SIGHUP makes a run now. A run that was cut short when the service ended is taken up when it starts again. The profile is read anew before each run; one that cannot be used leaves the old one in force.
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
from verifier.profile.timing import Schedule
from verifier.service.canary import fly
from verifier.service.runner import Runner
from verifier.service.schedule import cron_trigger
from verifier.service.web import make_app

STOP_GRACE_S = 10.0
"""How long a run that was interrupted may take to write down that it was."""

RUN, CANARY = "run", "canary"
_log = logging.getLogger(__name__)


class Service:
    """The scheduler and what it starts, on the web server's event loop."""

    def __init__(self, profile_path: Path, checks: Sequence[Path]) -> None:
        self._path = profile_path
        self.runner = Runner(profile_path, checks)
        self._scheduler = AsyncIOScheduler(
            # Late is better than never, and once is enough: a night that was slept through is made up for by one run.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        self._scheduled: Schedule | None = None
        self._runs: set[asyncio.Task[Any]] = set()
        self._flights: set[asyncio.Task[Any]] = set()

    @property
    def next_run_at(self) -> datetime | None:
        """When the next scheduled run is due."""
        job = self._scheduler.get_job(RUN)
        due: datetime | None = getattr(job, "next_run_time", None)
        return due

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """From the server's start to its end."""
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
        """Begin a run beside the schedule; the runner refuses it while one is under way."""
        task = asyncio.get_running_loop().create_task(self._run())
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    async def _run(self) -> None:
        with self._tracked(self._runs):
            # A thread of anyio dies with the process, so a store that hangs cannot keep the service from ending.
            await anyio.to_thread.run_sync(self.runner.run, abandon_on_cancel=True)
        if not self.runner.stopping:
            self._schedule()

    async def _fly(self) -> None:
        with self._tracked(self._flights):
            await fly(self._path, self.runner.state.canary)

    @contextmanager
    def _tracked(self, tasks: set[asyncio.Task[Any]]) -> Iterator[None]:
        """Keep the running task where `_stop` finds it."""
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            yield
        finally:
            tasks.discard(task)

    def _schedule(self) -> None:
        """Follow the profile in force."""
        wanted = self.runner.state.profile.schedule
        if wanted == self._scheduled:
            return
        self._scheduled = wanted
        for name, cron, what in ((RUN, wanted.cron, self._run), (CANARY, wanted.canary_cron, self._fly)):
            if cron is not None:
                self._scheduler.add_job(what, cron_trigger(cron, setting="schedule"), id=name, replace_existing=True)
            elif self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)

    async def _stop(self) -> None:
        """Interrupt what is under way and wait, not for ever, until it has said so in the history."""
        self._scheduler.pause()
        self.runner.stop()
        for task in self._flights:
            task.cancel()
        if pending := self._runs | self._flights:
            _, late = await asyncio.wait(pending, timeout=STOP_GRACE_S)
            if late:
                _log.warning("left a run behind that did not end within %g s", STOP_GRACE_S)
        self._scheduler.shutdown(wait=False)


class CleanFormatter(logging.Formatter):
    """Log lines fit for other people's eyes: no secret, no control character, whoever wrote them."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole line, tracebacks included."""
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
        # The server takes the signals over while it runs, and hands them on to these when it has ended.
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
        raise ProfileError(f"cannot listen on {host}:{port}: {reason}. Give another --host or --port.") from None


def _set_up_logging() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(CleanFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("verifier.service").setLevel(logging.INFO)
