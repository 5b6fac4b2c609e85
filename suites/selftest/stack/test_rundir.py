"""Run directories and ports: leftovers are ended, strangers never."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.ports import LOOPBACK, claim_port, release_port
from fixtures.rundir import (
    MARKER,
    RunDir,
    RunDirBusyError,
    is_reachable_by_anyone,
    reap,
    reap_dead_runs,
    start_token,
)


def start_sleeper(mark: str = "") -> subprocess.Popen[bytes]:
    """A process in a session of its own, with or without the mark of a run."""
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env={**os.environ, MARKER: mark},
        start_new_session=True,
    )


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that no run owns."""
    with start_sleeper() as process:
        yield process
        process.kill()


def forsake(path: Path) -> None:
    """Make a run directory look like one whose owner was killed."""
    owner = json.loads((path / "owner.json").read_text())
    (path / "owner.json").write_text(json.dumps({**owner, "pid": 2**22, "started": "long ago"}))


def test_recorded_leftover_is_ended(run: RunDir, sleeper: subprocess.Popen[bytes]) -> None:
    """A process that a killed run recorded is ended by the next run, its data removed, its directory usable."""
    run.record("server", sleeper.pid, signal.SIGTERM)
    (run.data("server") / "file").write_text("x")
    forsake(run.path)
    assert reap(run.path) == ["server"]
    assert sleeper.wait(5) == -signal.SIGTERM
    assert not (run.path / "data").exists()


def test_paused_leftover_is_ended(run: RunDir, sleeper: subprocess.Popen[bytes]) -> None:
    """A leftover that a fault test had paused is no exception."""
    sleeper.send_signal(signal.SIGSTOP)
    run.record("server", sleeper.pid, signal.SIGTERM)
    assert reap(run.path) == ["server"]
    assert sleeper.wait(5) == -signal.SIGTERM


def test_stranger_with_a_recorded_id_is_left_alone(run: RunDir, sleeper: subprocess.Popen[bytes]) -> None:
    """An id that belongs to somebody else's process by now is no reason to end that process."""
    record = {"name": "server", "pid": sleeper.pid, "started": "another boot/1", "end_signal": signal.SIGKILL}
    (run.path / "processes.jsonl").write_text(json.dumps(record) + "\n")
    assert reap(run.path) == []
    assert sleeper.poll() is None


def test_unrecorded_process_is_found_by_its_mark(run: RunDir) -> None:
    """What a server started itself, in a session of its own, carries the run's mark; another run's mark is not it."""
    ours, other = start_sleeper(mark=run.run_id), start_sleeper(mark="another run")
    try:
        time.sleep(0.1)  # until both have become the program whose environment is read
        assert len(reap(run.path)) == 1
        assert ours.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_directory_of_a_living_run_is_refused(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Two runs never share a directory."""
    owner = {"pid": sleeper.pid, "started": start_token(sleeper.pid), "run_id": "x"}
    (tmp_path / "owner.json").write_text(json.dumps(owner))
    with pytest.raises(RunDirBusyError, match=f"in use by process {sleeper.pid}.*fixtures down"):
        RunDir.claim(tmp_path)
    assert sleeper.poll() is None


def test_dead_runs_below_a_base_are_removed_and_living_ones_kept(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    """What killed test sessions left goes away with the next session."""
    dead = RunDir.claim(tmp_path / "dead")
    dead.record("server", sleeper.pid, signal.SIGKILL)
    forsake(dead.path)
    alive = RunDir.claim(tmp_path / "alive")
    assert reap_dead_runs(tmp_path) == ["server"]
    assert not dead.path.exists()
    assert alive.path.exists()
    alive.release()


def test_half_written_record_is_survived(run: RunDir) -> None:
    """A line that the kill cut in two does not stop the reaping."""
    (run.path / "processes.jsonl").write_text('{"name": "server", "pi')
    (run.path / "owner.json").write_text("")
    assert reap(run.path) == []


def test_data_for_an_unprivileged_server_lies_where_it_can_get(run: RunDir) -> None:
    """Below a private directory the data goes elsewhere, and is removed all the same."""
    run.path.chmod(0o700)
    outside = run.data("server", reachable=True)
    outside.chmod(0o711)
    assert not outside.is_relative_to(run.path)
    assert is_reachable_by_anyone(outside)
    run.release()
    assert not outside.exists()


def test_claimed_port_is_free_for_tcp_and_taken_for_other_claimants() -> None:
    """The claim keeps other processes off the number while the server that gets it can bind it."""
    port = claim_port()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
            server.bind((LOOPBACK, port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claimant, pytest.raises(OSError, match="in use"):
            claimant.bind((LOOPBACK, port))
    finally:
        release_port(port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claimant:
        claimant.bind((LOOPBACK, port))
