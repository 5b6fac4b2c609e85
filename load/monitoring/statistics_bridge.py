"""The engine's figures as locust statistics: five times a second, many messages at a time."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import gevent
import numpy as np
from locust.env import Environment
from locust.stats import StatsEntry, bucket_response_time

from load.engine.engine import BATCH_S, LoadEngine
from load.engine.figures import Figures, Latency
from load.monitoring.abort import AbortMonitor
from load.monitoring.generator_health import GeneratorHealth

METHOD: Final = "WS"
SEND, PUSH, CONNECT, LATE = "send", "push", "connect", "late"
_FIELDS: Final = {SEND: "ack_ns", PUSH: "push_ns", CONNECT: "connect_ns", LATE: "late_ns"}
_IN_TOTAL: Final = frozenset({SEND, CONNECT})
"""Pushes answer no request, and lateness is no response time: both have rows, but are not in the total."""


class Latencies:
    """Histograms by name; on the master those of all workers."""

    def __init__(self) -> None:
        self.by_name = {name: Latency() for name in _FIELDS}
        self._unreported = {name: Latency() for name in _FIELDS}

    def add(self, figures: Figures) -> None:
        """Add the latencies of a batch."""
        for name, source in _FIELDS.items():
            times_ns: array[int] = getattr(figures, source)
            self.by_name[name].add_ns(times_ns)
            self._unreported[name].add_ns(times_ns)

    def report(self) -> dict[str, str]:
        """What was added since the last report, for the master."""
        given, self._unreported = self._unreported, {name: Latency() for name in _FIELDS}
        return {name: latency.encode().decode("ascii") for name, latency in given.items() if latency.count}

    def merge(self, report: Mapping[str, str]) -> None:
        """Add a worker's report. What cannot be read is left out: the journals are decisive at the end."""
        for name, encoded in report.items():
            if name in self.by_name and base64.b64decode(encoded, validate=True):
                self.by_name[name].merge(encoded.encode("ascii"))


class StatisticsBridge:
    """Copies figures from an engine to locust's statistics until stopped.

    `broken` is called once the engine's journal cannot be written; `aborted`, with the reason, once a limit of
    `monitor` was exceeded for long enough.
    """

    def __init__(
        self,
        engine: LoadEngine,
        environment: Environment,
        latencies: Latencies,
        broken: Callable[[], None],
        health: GeneratorHealth | None = None,
        monitor: AbortMonitor | None = None,
        aborted: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._engine, self._stats = engine, environment.stats
        self._latencies = latencies
        self._broken = broken
        self._monitor, self._aborted = monitor, aborted
        self._reported_broken = self._ending = False
        self.health = health or GeneratorHealth()
        self._greenlet = gevent.spawn(self._run)

    def end_sending(self) -> None:
        """Nothing more is sent: from now on the generator's health is not sampled."""
        self._ending = True

    def stop(self) -> None:
        """Copy the remaining figures, and stop."""
        self._greenlet.kill()
        self._copy(self._engine.take())

    def _run(self) -> None:
        while True:
            gevent.sleep(BATCH_S)
            self._copy(self._engine.take())
            if self._engine.broken is not None and not self._reported_broken:
                self._reported_broken = True
                self._broken()

    def _copy(self, batches: Iterable[Figures]) -> None:
        for figures in batches:
            self._latencies.add(figures)
            if not self._ending:
                backlog = self._engine.backlog
                self.health.sample(backlog=backlog, lag_ms=figures.lag_ns / 1e6, unsent=figures.unsent)
                if self._monitor is not None and (why := self._monitor.check(figures, backlog)) is not None:
                    self._monitor = None
                    self._aborted(why)
            size = figures.sent_bytes // figures.sent if figures.sent else 0
            for name, source in _FIELDS.items():
                entries = [self._stats.entries[name, METHOD]]
                if name in _IN_TOTAL:
                    entries.append(self._stats.total)
                for entry in entries:
                    log_many(entry, getattr(figures, source), size if name == SEND else 0)
            for what, times in figures.errors.items():
                self._failed(CONNECT if what.startswith("connect:") else SEND, what, times)

    def _failed(self, name: str, what: str, times: int) -> None:
        self._stats.log_error(METHOD, name, what)
        for entry in (self._stats.total, self._stats.entries[name, METHOD]):
            entry.num_failures += times - 1
        for error in self._stats.errors.values():
            if (error.method, error.name, error.error) == (METHOD, name, what):
                error.occurrences += times - 1


def log_many(entry: StatsEntry, times_ns: array[int], size: int) -> None:
    """The same as `entry.log` for many response times of one moment; times are whole ms, as in locust."""
    if not times_ns:
        return
    ms, counts = np.unique(np.maximum(np.frombuffer(times_ns, np.int64), 0) // 1_000_000, return_counts=True)
    values: list[int] = ms.tolist()
    # The first one updates everything that is kept by the second.
    entry.log(values[0], size)
    number = len(times_ns)
    rest: list[int] = counts.tolist()
    rest[0] -= 1
    entry.num_requests += number - 1
    entry.total_content_length += size * (number - 1)
    entry.num_reqs_per_sec[int(entry.last_request_timestamp or 0)] += number - 1
    for value, count in zip(values, rest, strict=True):
        entry.total_response_time += value * count
        entry.response_times[bucket_response_time(value)] += count
    entry.max_response_time = max(entry.max_response_time, values[-1])
    entry.min_response_time = min(entry.min_response_time or 0, values[0])


def attach(events: Any, current: Callable[[], Latencies | None]) -> None:
    """Send workers' histograms to the master with their reports."""

    def to_master(data: dict[str, Any], **_: Any) -> None:
        if (latencies := current()) is not None:
            data["openim_latency"] = latencies.report()

    def from_worker(data: dict[str, Any], **_: Any) -> None:
        if (latencies := current()) is not None:
            latencies.merge(data.get("openim_latency", {}))

    events.report_to_master.add_listener(to_master)
    events.worker_report.add_listener(from_worker)
