"""Progress: one line every few seconds on a terminal or in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

import gevent
from locust.env import Environment

from load.monitoring.statistics_bridge import METHOD, PUSH, SEND, Latencies

EVERY_S: Final = 5.0


class ProgressReporter:
    """Reports a run's progress until stopped. Over REST there are no pushes, and locust's totals are shown."""

    def __init__(
        self, environment: Environment, latencies: Callable[[], Latencies | None], backlog: Callable[[], int | None]
    ) -> None:
        self._stats, self._latencies, self._backlog = environment.stats, latencies, backlog
        self._began_s = self._last_s = time.monotonic()
        self._acked = self._pushed = 0
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop reporting."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            gevent.sleep(EVERY_S)
            sys.stderr.write(self.line(time.monotonic()) + "\n")

    def line(self, now_s: float) -> str:
        """What happened since the last line."""
        span_s, self._last_s = max(now_s - self._last_s, 1e-9), now_s
        send, push = self._stats.entries[SEND, METHOD], self._stats.entries[PUSH, METHOD]
        answered = send.num_requests or self._stats.total.num_requests
        failed = self._stats.total.num_failures
        parts = [f"{now_s - self._began_s:5.0f} s", f"{(answered - self._acked) / span_s:8.0f} answered/s"]
        if push.num_requests:
            parts.append(f"{(push.num_requests - self._pushed) / span_s:8.0f} pushed/s")
        self._acked, self._pushed = answered, push.num_requests
        latencies = self._latencies()
        if latencies is not None and (found := latencies.by_name[SEND].percentiles_ms()):
            parts.append(f"p99 so far {found[99.0]:.0f} ms")
        if (backlog := self._backlog()) is not None:
            parts.append(f"{backlog} waiting")
        return "  ".join([*parts, f"{failed} failed"])
