"""Load on OpenIM by canary users, over its WebSocket or its REST API.

    locust -f load/locustfile.py --transport ws --host http://127.0.0.1:10002 --ws-url ws://127.0.0.1:10001 --headless -u 20 -t 30s
    locust -f load/locustfile.py --host http://127.0.0.1:10002 --headless -u 20 -r 10 -t 30s
    locust -f load/locustfile.py --profile stack.toml                        (web UI on http://localhost:8089)

OPENIM_SECRET and OPENIM_ADMIN say who may send. Every message is recorded in `reports/out/load-<run>-<worker>.columns`
(over REST: `.jsonl`) and judged when the run ends: exit code 0 all accounted for, 1 violated, 2 not knowable, 3 usage.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import RLock
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from load.config import settings_from
from load.monitoring.abort import Guard
from load.monitoring.clocks import ASK, TELL, Comparing, answer
from load.monitoring.generator_health import Fitness
from load.monitoring.progress import Progress
from load.monitoring.pump import Latencies, Pump, attach
from load.options import add_options
from load.settings import Settings, SettingsError
from load.teardown import END, ENDED, State, end_worker, finish, worker_ended
from load.users.openim import OpenIMApi
from load.users.recorder import RunRecorder, journal_path, new_run_id
from load.users.rest import CanarySender, Run
from load.users.websocket import CanaryChatter, ChatRun
from verifier.judges.journal import JournalError
from verifier.model.verdict import ExitCode

__all__ = ["CanaryChatter", "CanarySender"]

_ABORT = "openim_abort"
_log = logging.getLogger("load")
# One line for every read-back or connection would bury everything else.
for _name in ("httpx", "picows"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def prepare(environment: Environment, **_: Any) -> None:
    """Refuse a run that cannot or must not start, before any user exists."""
    if environment.stop_timeout == 0:
        # A send that is cut off is a message whose fate nobody knows; let it finish.
        environment.stop_timeout = 10
    options, runner = environment.parsed_options, environment.runner
    if isinstance(runner, MasterRunner):
        runner.register_message(ENDED, worker_ended)
        runner.register_message(_ABORT, _worker_aborted)
        runner.register_message(ASK, answer)
    elif isinstance(runner, WorkerRunner):
        runner.register_message(END, end_worker, concurrent=True)
        runner.register_message(TELL, _hear_time)
    if runner is not None:
        _stop_once(runner)
    if options is not None:
        environment.user_classes = [CanaryChatter if options.transport == "ws" else CanarySender]
    if options is None or (environment.web_ui is not None and not environment.host):
        # The web UI asks for the host; it is judged at the start of the run.
        return
    try:
        _settings(environment)
    except SettingsError as error:
        sys.exit(_refused(str(error)))
    # Its clock stands still while modules load, and `--run-time` is counted from there: a run ended half a second early.
    gevent.get_hub().loop.update_now()


def _stop_once(runner: Runner) -> None:
    """Whoever stops a run that is being stopped waits for that. Locust lets both go on: a run whose time is over while it is being
    aborted would end the process before it is accounted for."""
    stop, turn = runner.stop, RLock()

    def one_at_a_time(*arguments: Any, **named: Any) -> None:
        with turn:
            stop(*arguments, **named)

    runner.stop = one_at_a_time  # type: ignore[method-assign]


def begin(environment: Environment, **_: Any) -> None:
    """Open a journal and let the users share it."""
    runner, options = environment.runner, environment.parsed_options
    if isinstance(runner, MasterRunner) and options is not None:
        # Workers get the master's options with the order to start: so all know the run's name and how many they are.
        options.run_id, options.workers = new_run_id(), runner.worker_count
        State.latencies, State.aborted = Latencies(), ""
        _tell_progress(environment)
        return
    CanarySender.current = CanaryChatter.current = None
    # Nothing is known of a run until it is accounted for.
    environment.process_exit_code = ExitCode.INCONCLUSIVE
    try:
        settings = _settings(environment)
        worker = getattr(runner, "worker_index", 0)
        run_id = getattr(options, "run_id", None) or new_run_id()
        workers = getattr(options, "workers", 1)
        path = _open(environment, settings, run_id=run_id, worker=worker, workers=workers)
    except (SettingsError, JournalError) as error:
        environment.process_exit_code = _refused(str(error))
        if runner is not None:
            # After this start has run its course: without a journal its users stop at once anyway.
            gevent.spawn(runner.stop if environment.web_ui else runner.quit)
        return
    State.journal, State.aborted = path, ""
    _log.info("recording to %s", path)
    if not isinstance(runner, WorkerRunner):
        _tell_progress(environment)


def _open(environment: Environment, settings: Settings, *, run_id: str, worker: int, workers: int) -> Path:
    """Open a journal and let the users of the chosen transport share it."""
    if settings.transport == "ws":
        chat = CanaryChatter.current = ChatRun(settings, environment, run_id=run_id, worker=worker, workers=workers)
        State.latencies, State.doubts, State.generator = Latencies(), [], ""
        State.pump = Pump(
            chat.engine,
            environment,
            State.latencies,
            lambda: _broken(environment, chat),
            Fitness(late_most_ms=settings.late_most_ms),
            Guard(settings.limits),
            lambda why: _abort(environment, why),
        )
        if isinstance(environment.runner, WorkerRunner):
            State.clock = Comparing(environment.runner, chat.engine.now_ns, chat.engine.compared)
        return chat.path
    path = journal_path(settings.out_dir, run_id, worker)
    recorder = RunRecorder.create(path, run_id=run_id, worker=worker, stack=settings.stack)
    api = OpenIMApi(settings.api_url, secret=settings.secret, admin_user_id=settings.admin_user_id)
    CanarySender.current = Run(settings, recorder, api, worker=worker, workers=workers)
    return path


def _hear_time(msg: Any, **_: Any) -> None:
    if State.clock is not None:
        State.clock.hear(int(msg.data["asked"]), int(msg.data["time_ns"]))


def _broken(environment: Environment, chat: ChatRun) -> None:
    """The journal takes nothing more: a run that cannot be accounted for is of no use to anybody."""
    _log.error("%s", chat.engine.broken)
    if environment.runner is not None:
        gevent.spawn(environment.runner.quit)


def seated(**_: Any) -> None:
    """All users are there: nobody waits for company any more."""
    if (chat := CanaryChatter.current) is not None:
        chat.seats.close()


def _tell_progress(environment: Environment) -> None:
    """Where locust's own tables are switched off."""
    if not getattr(environment.parsed_options, "only_summary", False):
        return

    def backlog() -> int | None:
        chat = CanaryChatter.current
        return None if chat is None else chat.engine.backlog

    State.progress = Progress(environment, lambda: State.latencies, backlog)


def _abort(environment: Environment, why: str) -> None:
    """End the whole run, which is then judged as far as it went."""
    runner = environment.runner
    State.aborted = why
    _log.error("the run is aborted: %s", why)
    if isinstance(runner, WorkerRunner):
        runner.send_message(_ABORT, {"why": why})
    elif runner is not None:
        gevent.spawn(runner.stop if environment.web_ui else runner.quit)


def _worker_aborted(environment: Environment, msg: Any, **_: Any) -> None:
    if not State.aborted:
        _abort(environment, str(msg.data["why"]))


def end(environment: Environment, **_: Any) -> None:
    """Interrupted: the run still ends like any other."""
    running = CanarySender.current or CanaryChatter.current
    if running is not None and environment.runner is not None:
        environment.runner.stop()


def _settings(environment: Environment) -> Settings:
    options = vars(environment.parsed_options)
    settings = settings_from({**options, "host": environment.host or options.get("host")})
    # Locust sends to `environment.host`, and to nothing that the guard has not seen.
    environment.host = settings.api_url
    return settings


def _refused(reason: str) -> int:
    _log.error("%s", reason)
    return int(ExitCode.USAGE)


_LISTENERS: tuple[tuple[Any, Callable[..., None]], ...] = (
    (events.init_command_line_parser, add_options),
    (events.init, prepare),
    (events.test_start, begin),
    (events.spawning_complete, seated),
    (events.test_stop, finish),
    (events.quitting, end),
)
attach(events, lambda: State.latencies)
for _hook, _listener in _LISTENERS:
    _hook.add_listener(_listener)
