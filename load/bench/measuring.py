"""A server on one core, a generator on another, and the counts of both: what every measurement here is made of."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

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
        self.port = _free_port()
        self._process = subprocess.Popen(
            [*pinned(0), sys.executable, "-m", "load.bench.server", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def counts(self) -> Mapping[str, int]:
        """What it has done so far."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("it has pipes")
        self._process.stdin.write(b"?\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(core: int) -> list[str]:
    """How to keep a command on one core, where there are two."""
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else []


@contextmanager
def generator(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """A generator on its own core, ended afterwards with what it started."""
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
    """Processor time of a process and what it started."""
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
    """Start a generator, wait until all its connections stand, and measure."""
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
    """Until so many connections stand."""
    until_s = time.monotonic() + _CONNECT_WITHIN_S
    while server.counts()["connections"] < connections:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE or time.monotonic() > until_s:
            raise SystemExit(f"{' '.join(process.cmdline() or ['a generator'])} made only part of its connections.")
        time.sleep(0.2)


def ours(port: int, kind: str, connections: int) -> tuple[str, list[str], dict[str, str]]:
    """(name, command, environment) of the engine."""
    return "engine", [sys.executable, "-m", "load.bench.ours", str(port), str(connections), kind], {}
