"""The life of a load run in one locust process: start, read back, judge, report, verify.

Alone, a process does all of it. With workers, each worker does it for its part, and the master judges the journals of
all workers as one run.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from load.config import RunOptions, SettingsError
from load.journal.layout import SUFFIX
from load.monitoring.abort import AbortMonitor
from load.monitoring.clocks import CLOCK_REPLY, CLOCK_REQUEST, ClockComparison, answer
from load.monitoring.generator_health import GeneratorHealth
from load.monitoring.progress import ProgressReporter
from load.monitoring.statistics_bridge import CONNECT, LATE, Latencies, StatisticsBridge, attach
from load.post_run_checks import verify
from load.report import account_for, write_json
from load.target import LoadConfig, config_from
from load.users.recorder import new_run_id
from load.users.rest import RestRun, RestUser
from load.users.websocket import WebSocketRun, WebSocketUser
from verifier.judges.journal import JournalError
from verifier.model.verdict import ExitCode

_END, _ENDED, _ABORT = "openim_end", "openim_ended", "openim_abort"
_WORKERS_WITHIN_S: Final = 900.0
_SHOWN_LATENCIES: Final = {LATE: "generator behind its plan", CONNECT: "handshake"}
_log = logging.getLogger("load")


class LoadSession:
    """The runs of one process; the web UI may start several, one after another.

    `latencies` are those of the current run, on the master those of all workers.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.latencies: Latencies | None = None
        self._run: RestRun | WebSocketRun | None = None
        self._journal: Path | None = None
        self._bridge: StatisticsBridge | None = None
        self._progress: ProgressReporter | None = None
        self._clock: ClockComparison | None = None
        self._aborted = ""
        self._finishing = False
        self._warnings: list[str] = []
        self._generator = ""
        self._ended_workers: dict[str, dict[str, Any]] = {}

    def listen(self) -> None:
        """Register with locust's events and, with workers, for the messages between them and the master."""
        events: Any = self.environment.events
        runner = self.environment.runner
        events.test_start.add_listener(self.start)
        events.spawning_complete.add_listener(self.all_spawned)
        events.test_stop.add_listener(self.finish)
        events.quitting.add_listener(self.interrupt)
        attach(events, lambda: self.latencies)
        if isinstance(runner, MasterRunner):
            runner.register_message(_ENDED, self._worker_ended)
            runner.register_message(_ABORT, self._worker_aborted)
            runner.register_message(CLOCK_REQUEST, answer)
        elif isinstance(runner, WorkerRunner):
            runner.register_message(_END, self._end_worker, concurrent=True)
            runner.register_message(CLOCK_REPLY, self._clock_reply)

    def config(self) -> LoadConfig:
        """The configuration of the next run. Raises SettingsError."""
        options = vars(self.environment.parsed_options)
        config = config_from({**options, "host": self.environment.host or options.get("host")})
        # Locust sends to `environment.host`: only to a host that was checked.
        self.environment.host = config.api_url
        return config

    # start

    def start(self, **_: Any) -> None:
        """Open a journal and make the run available to the users."""
        environment, options, runner = self.environment, self.environment.parsed_options, self.environment.runner
        if isinstance(runner, MasterRunner) and options is not None:
            # Workers receive the master's options: so all know the run's name and how many they are.
            options.run_id, options.workers = new_run_id(), runner.worker_count
            self.latencies, self._aborted = Latencies(), ""
            self._report_progress()
            return
        self._run = RestUser.current = WebSocketUser.current = None
        # Nothing is known of a run until it is judged.
        environment.process_exit_code = ExitCode.INCONCLUSIVE
        try:
            config = self.config()
            self._open(
                config,
                run_id=getattr(options, "run_id", None) or new_run_id(),
                worker=getattr(runner, "worker_index", 0),
                workers=getattr(options, "workers", 1),
            )
        except (SettingsError, JournalError) as error:
            environment.process_exit_code = refuse(error)
            if runner is not None:
                # After this event: without a run its users stop at once.
                gevent.spawn(runner.stop if environment.web_ui else runner.quit)
            return
        self._aborted = ""
        _log.info("recording to %s", self._journal)
        if not isinstance(runner, WorkerRunner):
            self._report_progress()

    def _open(self, config: LoadConfig, *, run_id: str, worker: int, workers: int) -> None:
        self._bridge, self._warnings, self._generator = None, [], ""
        if config.options.target.transport == "rest":
            rest = self._run = RestUser.current = RestRun(config, run_id=run_id, worker=worker, workers=workers)
            self._journal = rest.path
            return
        run = WebSocketRun(config, self.environment, run_id=run_id, worker=worker, workers=workers)
        self._run, WebSocketUser.current, self._journal = run, run, run.path
        self.latencies = Latencies()
        self._bridge = StatisticsBridge(
            run.engine,
            self.environment,
            self.latencies,
            lambda: self._broken(run),
            GeneratorHealth(late_most_ms=config.traffic.late_most_ms),
            AbortMonitor(config.options.abort, unstored=lambda: run.engine.unstored),
            self.abort,
        )
        if isinstance(runner := self.environment.runner, WorkerRunner):
            self._clock = ClockComparison(runner.send_message, run.engine.now_ns, run.engine.record_clock)

    def all_spawned(self, **_: Any) -> None:
        """All users are spawned: form the last, incomplete group."""
        if isinstance(self._run, WebSocketRun):
            self._run.assignment.close()

    def _report_progress(self) -> None:
        """Report progress where locust's own tables are off."""
        if getattr(self.environment.parsed_options, "only_summary", False):
            self._progress = ProgressReporter(self.environment, lambda: self.latencies, self._backlog)

    def _backlog(self) -> int | None:
        return self._run.engine.backlog if isinstance(self._run, WebSocketRun) else None

    # the early end

    def abort(self, why: str) -> None:
        """End the whole run; it is judged as far as it went."""
        runner = self.environment.runner
        self._aborted = why
        _log.error("the run is aborted: %s", why)
        if isinstance(runner, WorkerRunner):
            runner.send_message(_ABORT, {"why": why})
        elif runner is not None:
            gevent.spawn(runner.stop if self.environment.web_ui else runner.quit)

    def _worker_aborted(self, msg: Any, **_: Any) -> None:
        if not self._aborted:
            self.abort(str(msg.data["why"]))

    def _broken(self, run: WebSocketRun) -> None:
        """End the run once its journal cannot be written: the rest could not be accounted for."""
        _log.error("%s", run.engine.broken)
        if self.environment.runner is not None:
            gevent.spawn(self.environment.runner.quit)

    def interrupt(self, **_: Any) -> None:
        """The process quits: the run ends like any other."""
        if self._run is not None and self.environment.runner is not None:
            self.environment.runner.stop()

    # the end

    def finish(self, **_: Any) -> None:
        """Read everything back, close the journal, judge it, report, verify."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if self._clock is not None:
            self._clock.stop()
            self._clock = None
        if isinstance(self.environment.runner, MasterRunner):
            self._finish_master(self.environment.runner)
            return
        run, self._run, RestUser.current, WebSocketUser.current = self._run, None, None, None
        if run is None:
            return
        self._finishing = True
        try:
            self._read_back(run)
            self._judge([run.path], run.config.options, run.path.with_suffix(".json"))
        except (JournalError, OSError, TimeoutError) as error:
            _log.error("The run cannot be accounted for: %s", error)
        finally:
            self._finishing = False

    def _read_back(self, run: RestRun | WebSocketRun) -> None:
        bridge, latencies = self._bridge, self.latencies
        if bridge is None or latencies is None:
            run.finish()
            return
        bridge.end_sending()
        try:
            run.finish()
        finally:
            bridge.stop()
            self._warnings, self._generator = bridge.health.warnings(latencies.by_name[LATE]), bridge.health.summary()

    def _finish_master(self, runner: MasterRunner) -> None:
        """Let the workers account for their parts; judge the whole where all journals are on this machine."""
        self.environment.process_exit_code = ExitCode.INCONCLUSIVE
        self._ended_workers.clear()
        ended = self._ended_workers
        workers = {client.id for client in runner.clients.all if client.state != STATE_MISSING}
        runner.send_message(_END)
        until_s = time.monotonic() + _WORKERS_WITHIN_S
        while not workers <= ended.keys() and time.monotonic() < until_s:
            workers &= {client.id for client in runner.clients.all if client.state != STATE_MISSING}
            gevent.sleep(0.1)
        try:
            options = RunOptions.parse(vars(self.environment.parsed_options))
        except SettingsError as error:
            refuse(error)
            return
        run_id = getattr(self.environment.parsed_options, "run_id", "")
        paths = sorted(options.out_dir.glob(f"load-{run_id}-*{SUFFIX}"))
        named = {Path(worker["journal"]).name for worker in ended.values() if worker["journal"]}
        if not paths or not named <= {path.name for path in paths}:
            _log.warning(
                "The workers' journals are on other machines. To judge the whole run, collect them and run: "
                "python -m load judge load-%s-*",
                run_id,
            )
            return
        self._judge(paths, options, options.out_dir / f"load-{run_id}.json")

    def _end_worker(self, **_: Any) -> None:
        """The master's run is over: finish this worker's part, then report where its journal is."""
        runner = self.environment.runner
        if runner is None:
            return
        if self._run is not None:
            runner.stop()
        while self._finishing:
            gevent.sleep(0.1)
        runner.send_message(_ENDED, {"journal": str(self._journal or ""), "warnings": self._warnings})

    def _worker_ended(self, msg: Any, **_: Any) -> None:
        self._ended_workers[msg.node_id] = msg.data

    def _clock_reply(self, msg: Any, **_: Any) -> None:
        if self._clock is not None:
            self._clock.reply(int(msg.data["asked"]), int(msg.data["time_ns"]))

    def _judge(self, paths: Sequence[Path], options: RunOptions, report: Path) -> None:
        """Judge the journals, write the report, and set the exit code. Raises JournalError and OSError."""
        warnings = [*self._warnings, *(one for worker in self._ended_workers.values() for one in worker["warnings"])]
        if self._aborted:
            warnings.insert(0, f"the run was aborted: {self._aborted}")
        account = account_for(paths, settle_s=options.load.settle_s, quiet_s=options.load.quiet_s, warnings=warnings)
        account = replace(account, generator=self._generator)
        profile = options.target.profile
        # Once for a run: by the process that judges the whole of it.
        if profile and options.after.verify and not isinstance(self.environment.runner, WorkerRunner):
            _log.info("running the verifier on the stack")
            account = replace(
                account, after=verify(profile, report.with_name(f"verifier-{account.header.run_id}.json"))
            )
        write_json(account, report)
        self.environment.process_exit_code = account.exit_code
        journals = [f"  journal: {path}" for path in paths]
        lines = [account.to_text(), *self._latency_lines(), f"  report: {report}", *journals]
        sys.stderr.write("\n" + "\n".join(lines) + "\n\n")

    def _latency_lines(self) -> list[str]:
        found = [f"  {self._generator}"] if self._generator else []
        for name, latency in self.latencies.by_name.items() if self.latencies else ():
            if name in _SHOWN_LATENCIES and latency.count:
                values = ", ".join(f"p{each:g} {value:.1f}" for each, value in latency.percentiles_ms().items())
                found.append(f"  {_SHOWN_LATENCIES[name]}, ms: {values} ({latency.count})")
        return found


def refuse(error: Exception) -> int:
    """Log why a run cannot start; returns the exit code."""
    _log.error("%s", error)
    return int(ExitCode.USAGE)
