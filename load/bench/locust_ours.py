"""The engine beside locust, in gevent's native threads, its figures pumped into locust's statistics: a locustfile."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import gevent
from locust import User, events, task

from load.bench.ours import TEXT, add_users
from load.engine.engine import Engine
from load.engine.plan import EnginePlan
from load.journal.writer import ColumnWriter
from load.monitoring.pump import Latencies, Pump


class Idle(User):
    """The engine's users are no greenlets; locust wants one."""

    @task
    def nothing(self) -> None:
        """Live."""
        gevent.sleep(1)


def begin(environment: Any, **_: Any) -> None:
    """Start the engine."""
    plan = EnginePlan(run_id="bench", worker=0, text=TEXT, window=1, warm_up_s=0.2)
    path = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR"))) / "bench.columns"
    running = Engine(plan, ColumnWriter(path, run_id="bench", stack="bench", worker=0, digest=plan.digest))
    running.start(gevent.get_hub().threadpool.spawn)
    add_users(running, int(os.environ["BENCH_PORT"]), int(os.environ["BENCH_CONNECTIONS"]))
    Pump(running, environment, Latencies(), lambda: None)


events.test_start.add_listener(begin)  # type: ignore[no-untyped-call]
