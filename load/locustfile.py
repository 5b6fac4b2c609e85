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
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gevent
from gevent.lock import RLock
from locust import events
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, Runner, WorkerRunner

from load.abort import Guard
from load.account import account_for, write_json
from load.aftermath import verify
from load.chatters import CanaryChatter, ChatRun
from load.fitness import Fitness
from load.journal.layout import SUFFIX as COLUMNS
from load.openim import OpenIMApi
from load.options import add_options
from load.progress import Progress
from load.pump import LATE, Latencies, Pump, attach
from load.recorder import RunRecorder, journal_path, new_run_id
from load.settings import OUT_DIR, Settings, SettingsError, settings_from
from load.users import CanarySender, Run
from verifier.judges.journal import SUFFIX, JournalError
from verifier.verdict import ExitCode

__all__ = ["CanaryChatter", "CanarySender"]

_END, _ENDED, _ABORT = "openim_end", "openim_ended", "openim_abort"
_WORKERS_WITHIN_S = 900.0
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
        runner.register_message(_ENDED, _worker_ended)
        runner.register_message(_ABORT, _worker_aborted)
    elif isinstance(runner, WorkerRunner):
        runner.register_message(_END, _end_worker, concurrent=True)
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
        _State.latencies, _State.aborted = Latencies(), ""
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
    _State.journal, _State.aborted = path, ""
    _log.info("recording to %s", path)
    if not isinstance(runner, WorkerRunner):
        _tell_progress(environment)


def _open(environment: Environment, settings: Settings, *, run_id: str, worker: int, workers: int) -> Path:
    """Open a journal and let the users of the chosen transport share it."""
    if settings.transport == "ws":
        chat = CanaryChatter.current = ChatRun(settings, run_id=run_id, worker=worker, workers=workers)
        _State.latencies, _State.doubts, _State.generator = Latencies(), [], ""
        _State.pump = Pump(
            chat.engine,
            environment,
            _State.latencies,
            lambda: _broken(environment, chat),
            Fitness(late_most_ms=settings.late_most_ms),
            Guard(settings.limits),
            lambda why: _abort(environment, why),
        )
        return chat.path
    path = journal_path(settings.out_dir, run_id, worker)
    recorder = RunRecorder.create(path, run_id=run_id, worker=worker, stack=settings.stack)
    api = OpenIMApi(settings.api_url, secret=settings.secret, admin_user_id=settings.admin_user_id)
    CanarySender.current = Run(settings, recorder, api, worker=worker, workers=workers)
    return path


class _State:
    """What one process keeps of its run; `journals` are those of a master's workers."""

    pump: Pump | None = None
    progress: Progress | None = None
    aborted = ""
    latencies: Latencies | None = None
    journal: Path | None = None
    finishing = False
    journals: ClassVar[dict[str, dict[str, Any]]] = {}
    doubts: ClassVar[list[str]] = []
    generator = ""


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

    _State.progress = Progress(environment, lambda: _State.latencies, backlog)


def _abort(environment: Environment, why: str) -> None:
    """End the whole run, which is then judged as far as it went."""
    runner = environment.runner
    _State.aborted = why
    _log.error("the run is aborted: %s", why)
    if isinstance(runner, WorkerRunner):
        runner.send_message(_ABORT, {"why": why})
    elif runner is not None:
        gevent.spawn(runner.stop if environment.web_ui else runner.quit)


def _worker_aborted(environment: Environment, msg: Any, **_: Any) -> None:
    if not _State.aborted:
        _abort(environment, str(msg.data["why"]))


def finish(environment: Environment, **_: Any) -> None:
    """Read everything back, close the journal, judge it, say so."""
    if _State.progress is not None:
        _State.progress.stop()
        _State.progress = None
    if isinstance(environment.runner, MasterRunner):
        _finish_master(environment, environment.runner)
        return
    rest, CanarySender.current = CanarySender.current, None
    chat, CanaryChatter.current = CanaryChatter.current, None
    if rest is not None:
        _account(environment, rest.settings, rest.recorder.path, lambda: _finish_rest(rest))
    elif chat is not None:
        _account(environment, chat.settings, chat.path, lambda: _finish_chat(chat))


def _finish_master(environment: Environment, runner: MasterRunner) -> None:
    """Let the workers account for their parts, and for the whole where all journals are on this machine."""
    environment.process_exit_code = ExitCode.INCONCLUSIVE
    _State.journals = {}
    workers = {client.id for client in runner.clients.all if client.state != STATE_MISSING}
    runner.send_message(_END)
    until_s = time.monotonic() + _WORKERS_WITHIN_S
    while not workers <= _State.journals.keys() and time.monotonic() < until_s:
        workers &= {client.id for client in runner.clients.all if client.state != STATE_MISSING}
        gevent.sleep(0.1)
    options = environment.parsed_options
    run_id, out_dir = getattr(options, "run_id", ""), Path(getattr(options, "out_dir", OUT_DIR))
    paths = sorted(path for path in out_dir.glob(f"load-{run_id}-*") if path.suffix in (SUFFIX, COLUMNS))
    named = {Path(told["journal"]).name for told in _State.journals.values() if told["journal"]}
    if not paths or not named <= {path.name for path in paths}:
        _log.warning(
            "The workers' journals are on other machines. For the whole run, collect them and: "
            "python -m load judge load-%s-*",
            run_id,
        )
        return
    _judge(environment, paths, getattr(options, "settle_s", 2.0), out_dir / f"load-{run_id}.json")


def _end_worker(environment: Environment, **_: Any) -> None:
    """The master's run is over: finish this part of it, then say where its journal is."""
    runner = environment.runner
    if runner is None:
        return
    if CanarySender.current is not None or CanaryChatter.current is not None:
        runner.stop()
    while _State.finishing:
        gevent.sleep(0.1)
    runner.send_message(_ENDED, {"journal": str(_State.journal or ""), "doubts": _State.doubts})


def _worker_ended(msg: Any, **_: Any) -> None:
    _State.journals[msg.node_id] = msg.data


def _finish_rest(run: Run) -> None:
    try:
        run.recorder.read_all_back(run.api, settle_s=run.settings.settle_s, deadline_s=run.settings.read_deadline_s)
        run.recorder.close()
    finally:
        run.api.close()


def _finish_chat(chat: ChatRun) -> None:
    pump, latencies = _State.pump, _State.latencies
    if pump is not None and latencies is not None:
        pump.end()
    try:
        chat.finish()
    finally:
        if pump is not None and latencies is not None:
            pump.stop()
            _State.doubts, _State.generator = pump.fitness.doubts(latencies.by_name[LATE]), pump.fitness.summary()


def _account(environment: Environment, settings: Settings, path: Path, read_back: Callable[[], None]) -> None:
    _State.finishing = True
    try:
        read_back()
        _judge(environment, [path], settings.settle_s, path.with_suffix(".json"))
    except (JournalError, OSError, TimeoutError) as error:
        _log.error("The run cannot be accounted for: %s", error)
    finally:
        _State.finishing = False


def _judge(environment: Environment, paths: Sequence[Path], settle_s: float, report: Path) -> None:
    """Judge the journals, write the report, say so, and let the exit code tell. Raises JournalError and OSError."""
    doubts = [*_State.doubts, *(doubt for told in _State.journals.values() for doubt in told["doubts"])]
    if _State.aborted:
        doubts.insert(0, f"the run was aborted: {_State.aborted}")
    account = account_for(paths, settle_s=settle_s, doubts=doubts)
    account = replace(account, generator=_State.generator)
    options = environment.parsed_options
    profile = getattr(options, "profile", None)
    # Once for a run, by whoever accounts for the whole of it.
    if profile and not getattr(options, "no_verify", False) and not isinstance(environment.runner, WorkerRunner):
        _log.info("asking the verifier whether the stack still holds")
        account = replace(account, after=verify(profile, report.with_name(f"verifier-{account.header.run_id}.json")))
    write_json(account, report)
    environment.process_exit_code = account.exit_code
    journals = [f"  journal: {path}" for path in paths]
    lines = [account.to_text(), *_latency_lines(), f"  report: {report}", *journals]
    sys.stderr.write("\n" + "\n".join(lines) + "\n\n")


def _latency_lines() -> list[str]:
    names = {"late": "generator behind its plan", "connect": "handshake"}
    found = [f"  {_State.generator}"] if _State.generator else []
    for name, latency in _State.latencies.by_name.items() if _State.latencies else ():
        if name in names and latency.count:
            told = ", ".join(f"p{each:g} {value:.1f}" for each, value in latency.percentiles_ms().items())
            found.append(f"  {names[name]}, ms: {told} ({latency.count})")
    return found


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
attach(events, lambda: _State.latencies)
for _hook, _listener in _LISTENERS:
    _hook.add_listener(_listener)
