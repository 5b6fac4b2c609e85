"""A locustfile: the engine in a native thread, its figures in locust's statistics."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import gevent
from locust import User, events, task

from load.bench.ours import TEXT, add_users
from load.config import Traffic
from load.engine.engine import LoadEngine
from load.engine.plan import EnginePlan
from load.journal.writer import ColumnWriter
from load.monitoring.statistics_bridge import Latencies, StatisticsBridge


class Idle(User):
    """Locust needs one user; the engine's users are not greenlets."""

    @task
    def nothing(self) -> None:
        """Do nothing."""
        gevent.sleep(1)


def begin(environment: Any, **_: Any) -> None:
    """Start the engine."""
    plan = EnginePlan(run_id="bench", worker=0, text=TEXT, traffic=Traffic(window=1), warm_up_s=0.2)
    path = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR"))) / "bench.columns"
    running = LoadEngine(plan, ColumnWriter(path, run_id="bench", stack="bench", worker=0, digest=plan.digest))
    running.start(gevent.get_hub().threadpool.spawn)
    add_users(running, int(os.environ["BENCH_PORT"]), int(os.environ["BENCH_CONNECTIONS"]))
    StatisticsBridge(running, environment, Latencies(), lambda: None)


events.test_start.add_listener(begin)  # type: ignore[no-untyped-call]
