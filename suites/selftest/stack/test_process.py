"""An owned process: proven ready, its failures explained, never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fixtures.deadline import Deadline, DeadlineExceeded
from fixtures.process import Command, OwnedProcess, ServerFailed
from fixtures.rundir import RunDir
from fixtures.services.base import REPO_ROOT
from suites.selftest.stack.conftest import python

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


def wait_for_log(process: OwnedProcess, text: str) -> None:
    """Wait until a process has written something."""

    def written() -> None:
        if text not in process.log_tail():
            raise LookupError(f"{text!r} is not in the log")

    process.wait_ready(written, Deadline(10))


def wait_until_gone(pid: int) -> None:
    """Wait until a process is gone or a zombie."""

    def gone() -> None:
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            raise LookupError(f"process {pid} is still there")

    Deadline(5).wait_until("the process to end", gone)


def test_early_death_shows_exit_code_command_and_log_tail(run: RunDir) -> None:
    """A server that ends while it starts explains itself at once, not at the deadline."""
    process = python(run, "print('cannot read the configuration'); raise SystemExit(7)")
    process.start()
    begun = time.monotonic()

    def never() -> None:
        raise ConnectionRefusedError("nobody there")

    with pytest.raises(ServerFailed) as caught:
        process.wait_ready(never, Deadline(30))
    assert time.monotonic() - begun < 5
    message = str(caught.value)
    assert "script ended with exit code 7" in message
    assert "cannot read the configuration" in message
    assert sys.executable in message


def test_timeout_shows_the_probe_s_last_failure_and_log_tail(run: RunDir) -> None:
    """A server that never answers says what was tried last and what it wrote."""
    process = python(run, SLEEP)
    process.start()
    wait_for_log(process, "up")

    def never() -> None:
        raise ConnectionRefusedError("nobody there")

    with pytest.raises(ServerFailed, match=r"(?s)0\.2 s in vain.*ConnectionRefusedError: nobody there.*up"):
        process.wait_ready(never, Deadline(0.2))


def test_message_hides_secrets_of_the_command(run: RunDir) -> None:
    """A secret that must be an argument is not repeated by an error."""
    command = Command(
        name="secretive",
        argv=[sys.executable, "-c", "import sys; sys.exit(sys.argv[1])", "hunter2"],
        cwd=run.path,
        secrets=("hunter2",),
    )
    with pytest.raises(ServerFailed) as caught:
        OwnedProcess(command, run).run_to_end(Deadline(10))
    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)


def test_missing_program_is_named(run: RunDir) -> None:
    """A program that does not exist ends like one that failed, with the reason in its log."""
    process = OwnedProcess(Command(name="nothing", argv=["/does/not/exist"], cwd=run.path), run)
    with pytest.raises(ServerFailed, match="cannot run /does/not/exist: No such file or directory"):
        process.run_to_end(Deadline(10))


def test_tool_that_takes_too_long_is_killed(run: RunDir) -> None:
    """A tool is given the deadline, then ended."""
    process = python(run, SLEEP)
    with pytest.raises(ServerFailed, match="not done in time"):
        process.run_to_end(Deadline(0.3))
    assert not process.alive


def test_stop_turns_to_sigkill_after_the_grace(run: RunDir) -> None:
    """A process that ignores SIGTERM is ended nevertheless; stopping twice is fine."""
    process = python(run, STUBBORN, grace_s=0.2)
    process.start()
    wait_for_log(process, "up")
    with pytest.raises(ServerFailed, match="runs already as process"):
        process.start()
    process.stop()
    process.stop()
    assert not process.alive
    with pytest.raises(ServerFailed, match="SIGKILL"):
        process.check_alive()


def test_paused_process_lives_on_after_resume(run: RunDir) -> None:
    """Pause stops the process without ending it, and a paused one can be stopped."""
    process = python(run, SLEEP)
    process.start()
    wait_for_log(process, "up")
    process.pause()
    Deadline(5).wait_until("the pause", lambda: _expect_status(process.pid, psutil.STATUS_STOPPED))
    assert process.alive
    process.resume()
    Deadline(5).wait_until("it to go on", lambda: _expect_status(process.pid, psutil.STATUS_SLEEPING))
    process.pause()
    process.stop()
    assert not process.alive


def test_what_a_process_leaves_in_its_session_is_ended_too(run: RunDir) -> None:
    """A child that its parent forgot does not outlive the parent's stop."""
    child = f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"
    process = python(run, f"import subprocess, sys; print('child', {child}.pid, flush=True)")
    process.run_to_end(Deadline(10))
    pid = int(process.log_tail().split("child ")[1].split()[0])
    process.stop()
    wait_until_gone(pid)


def test_children_die_with_a_parent_that_is_killed(run: RunDir) -> None:
    """After `kill -9` of the owner nothing goes on, even before anybody reaps."""
    owner_code = f"""
import threading, time
from pathlib import Path
from fixtures.rundir import RunDir
from suites.selftest.stack.conftest import python
run = RunDir.claim(Path({str(run.path / "inner")!r}))
process = python(run, {SLEEP!r})
starter = threading.Thread(target=process.start)
starter.start(); starter.join()   # the thread that asked for it is over: its end must not end the process
time.sleep(0.2)
process.check_alive()
print("child", process.pid, flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", owner_code], stdout=subprocess.PIPE, text=True, env=environment
    ) as owner:
        assert owner.stdout is not None
        line = owner.stdout.readline()
        owner.kill()
    pid = int(line.removeprefix("child "))
    if sys.platform == "linux":
        wait_until_gone(pid)
    RunDir.claim(run.path / "inner").release()
    wait_until_gone(pid)


def test_environment_is_not_the_caller_s(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the caller's shell do not reach a server."""
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    process = python(run, "import os; print(sorted(os.environ))")
    process.run_to_end(Deadline(10))
    assert "PGPORT" not in process.log_tail()
    assert "HTTP_PROXY" not in process.log_tail()
    assert "EMBEDDED_STACK_RUN" in process.log_tail()


def test_one_deadline_for_nested_waits() -> None:
    """Two waits in a row get one budget together."""
    deadline = Deadline(0.2)

    def never() -> None:
        raise LookupError("not yet")

    begun = time.monotonic()
    for what in ("the first", "the second"):
        with pytest.raises(DeadlineExceeded, match=what):
            deadline.wait_until(what, never)
    assert time.monotonic() - begun < 0.4
    assert deadline.remaining_s == 0


def test_nothing_starts_in_a_released_run(tmp_path: Path) -> None:
    """A start that was under way in another thread when the run ended leaves nothing behind."""
    run = RunDir.claim(tmp_path / "over")
    run.release()
    process = python(run, SLEEP)
    with pytest.raises(ServerFailed, match="its run is over"):
        process.start()
    assert not process.alive


def _expect_status(pid: int, status: str) -> None:
    found = psutil.Process(pid).status()
    if found != status:
        raise LookupError(f"process {pid} is {found}, not {status}")
