"""One measurement: a server on one core, a generator on another, and the counts of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from load.experiments.plans import free_port

SETTLE_S = 4.0
_CONNECT_WITHIN_S = 120.0


@dataclass(frozen=True)
class Measured:
    """Messages per second of time, and per second of the generator's processor time."""

    per_s: float
    per_core_s: float


class Server:
    """The benchmark's server, on its own core."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [*pinned(0), sys.executable, "-m", "load.bench.server", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def counts(self) -> Mapping[str, int]:
        """The server's counts so far."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the server was started without pipes")
        self._process.stdin.write(b"?\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=10)


def pinned(core: int) -> list[str]:
    """The command prefix that keeps a process on one core, where there are several."""
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else []


@contextmanager
def generator(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """A generator on its own core; it is killed afterwards with its child processes."""
    process = subprocess.Popen(
        [*pinned(1), *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen = psutil.Process(process.pid)
    try:
        yield seen
    finally:
        for child in seen.children(recursive=True):
            child.kill()
        process.kill()
        process.wait(timeout=10)


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a process and its children."""
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def drive(
    server: Server,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    connections: int,
    seconds: float,
    what: str,
) -> Measured:
    """Start a generator, wait until all its connections are open, and measure."""
    before = server.counts()["connections"]
    with generator(command, environment) as process:
        wait_for(server, process, before + connections)
        time.sleep(SETTLE_S)
        began_s, began, used_s = time.perf_counter(), server.counts()[what], cpu_s(process)
        time.sleep(seconds)
        took_s, done, used_s = time.perf_counter() - began_s, server.counts()[what] - began, cpu_s(process) - used_s
    while server.counts()["connections"] > before:
        time.sleep(0.2)
    return Measured(done / took_s, done / used_s if used_s else 0.0)


def wait_for(server: Server, process: psutil.Process, connections: int) -> None:
    """Wait until this many connections are open. Raises SystemExit if the generator fails."""
    until_s = time.monotonic() + _CONNECT_WITHIN_S
    while server.counts()["connections"] < connections:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE or time.monotonic() > until_s:
            raise SystemExit(f"{' '.join(process.cmdline() or ['a generator'])} opened only part of its connections.")
        time.sleep(0.2)


def ours(port: int, kind: str, connections: int) -> tuple[str, list[str], dict[str, str]]:
    """(name, command, environment) of the engine."""
    return "engine", [sys.executable, "-m", "load.bench.ours", str(port), str(connections), kind], {}
