"""The end of a run under locust: read back, close, judge, verify, say so; workers for their part, the master for the whole."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from load.journal.layout import SUFFIX as COLUMNS
from load.monitoring.clocks import Comparing
from load.monitoring.progress import Progress
from load.monitoring.pump import LATE, Latencies, Pump
from load.post_run_checks import verify
from load.report import account_for, write_json
from load.settings import OUT_DIR, Settings
from load.users.rest import CanarySender, Run
from load.users.websocket import CanaryChatter, ChatRun
from verifier.judges.journal import SUFFIX, JournalError
from verifier.model.verdict import ExitCode

END, ENDED = "openim_end", "openim_ended"
_WORKERS_WITHIN_S = 900.0
_log = logging.getLogger("load")


class State:
    """What one process keeps of its run; `journals` are those of a master's workers."""

    pump: Pump | None = None
    progress: Progress | None = None
    clock: Comparing | None = None
    aborted = ""
    latencies: Latencies | None = None
    journal: Path | None = None
    finishing = False
    journals: ClassVar[dict[str, dict[str, Any]]] = {}
    doubts: ClassVar[list[str]] = []
    generator = ""


def finish(environment: Environment, **_: Any) -> None:
    """Read everything back, close the journal, judge it, say so."""
    if State.progress is not None:
        State.progress.stop()
        State.progress = None
    if State.clock is not None:
        State.clock.stop()
        State.clock = None
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
    State.journals = {}
    workers = {client.id for client in runner.clients.all if client.state != STATE_MISSING}
    runner.send_message(END)
    until_s = time.monotonic() + _WORKERS_WITHIN_S
    while not workers <= State.journals.keys() and time.monotonic() < until_s:
        workers &= {client.id for client in runner.clients.all if client.state != STATE_MISSING}
        gevent.sleep(0.1)
    options = environment.parsed_options
    run_id, out_dir = getattr(options, "run_id", ""), Path(getattr(options, "out_dir", OUT_DIR))
    paths = sorted(path for path in out_dir.glob(f"load-{run_id}-*") if path.suffix in (SUFFIX, COLUMNS))
    named = {Path(told["journal"]).name for told in State.journals.values() if told["journal"]}
    if not paths or not named <= {path.name for path in paths}:
        _log.warning(
            "The workers' journals are on other machines. For the whole run, collect them and: "
            "python -m load judge load-%s-*",
            run_id,
        )
        return
    _judge(environment, paths, getattr(options, "settle_s", 2.0), out_dir / f"load-{run_id}.json")


def end_worker(environment: Environment, **_: Any) -> None:
    """The master's run is over: finish this part of it, then say where its journal is."""
    runner = environment.runner
    if runner is None:
        return
    if CanarySender.current is not None or CanaryChatter.current is not None:
        runner.stop()
    while State.finishing:
        gevent.sleep(0.1)
    runner.send_message(ENDED, {"journal": str(State.journal or ""), "doubts": State.doubts})


def worker_ended(msg: Any, **_: Any) -> None:
    State.journals[msg.node_id] = msg.data


def _finish_rest(run: Run) -> None:
    try:
        run.recorder.read_all_back(run.api, settle_s=run.settings.settle_s, deadline_s=run.settings.read_deadline_s)
        run.recorder.close()
    finally:
        run.api.close()


def _finish_chat(chat: ChatRun) -> None:
    pump, latencies = State.pump, State.latencies
    if pump is not None and latencies is not None:
        pump.end()
    try:
        chat.finish()
    finally:
        if pump is not None and latencies is not None:
            pump.stop()
            State.doubts, State.generator = pump.fitness.doubts(latencies.by_name[LATE]), pump.fitness.summary()


def _account(environment: Environment, settings: Settings, path: Path, read_back: Callable[[], None]) -> None:
    State.finishing = True
    try:
        read_back()
        _judge(environment, [path], settings.settle_s, path.with_suffix(".json"))
    except (JournalError, OSError, TimeoutError) as error:
        _log.error("The run cannot be accounted for: %s", error)
    finally:
        State.finishing = False


def _judge(environment: Environment, paths: Sequence[Path], settle_s: float, report: Path) -> None:
    """Judge the journals, write the report, say so, and let the exit code tell. Raises JournalError and OSError."""
    doubts = [*State.doubts, *(doubt for told in State.journals.values() for doubt in told["doubts"])]
    if State.aborted:
        doubts.insert(0, f"the run was aborted: {State.aborted}")
    account = account_for(paths, settle_s=settle_s, doubts=doubts)
    account = replace(account, generator=State.generator)
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
    found = [f"  {State.generator}"] if State.generator else []
    for name, latency in State.latencies.by_name.items() if State.latencies else ():
        if name in names and latency.count:
            told = ", ".join(f"p{each:g} {value:.1f}" for each, value in latency.percentiles_ms().items())
            found.append(f"  {names[name]}, ms: {told} ({latency.count})")
    return found
