"""Generator health: whether the load generator kept up. If it did not, the numbers describe it and not the server."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Final

from load.config import Traffic
from load.engine.figures import Latency

CPU_MAX: Final = 0.9
"""Share of one core in the median second. Python runs on one core, so above this the generator may limit the rate."""

BUSY_LATE_MS: Final = 5.0
"""A busy processor counts only with this lateness (p99): an event loop is busy long before it falls behind."""

SERVER_CAUSED: Final = "were due and never sent"
"""Marks the one warning that the server causes: it did not accept the messages."""
_PAUSE_PER_LATENESS: Final = 5.0
"""A single pause may be this many times longer than the limit of the p99 lateness."""


@dataclass(slots=True)
class GeneratorHealth:
    """Samples one process while it sends.

    `late_most_ms` is the limit of the p99 lateness. `backlog` is the highest number of messages that waited at a time,
    which the server causes.
    """

    late_most_ms: float = Traffic().late_most_ms
    lag_ms: float = 0.0
    backlog: int = 0
    unsent: int = 0
    _seconds: list[float] = field(default_factory=list)
    _began: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    def sample(self, *, backlog: int, lag_ms: float, unsent: int) -> None:
        """Add one sample; call it several times a second during the run."""
        began_s, used_s = self._began
        now_s, cpu_s = time.monotonic(), time.process_time()
        if now_s - began_s >= 1:
            self._seconds.append((cpu_s - used_s) / (now_s - began_s))
            self._began = now_s, cpu_s
        self.backlog = max(self.backlog, backlog)
        self.lag_ms = max(self.lag_ms, lag_ms)
        self.unsent += unsent

    @property
    def cpu_share(self) -> float:
        """Of one core, in the median second, which leaves out connecting and the end of the run."""
        return statistics.median(self._seconds) if self._seconds else 0.0

    def warnings(self, late: Latency) -> list[str]:
        """Why this run's latencies and rates are unreliable; empty if they are reliable.

        `late` is the lateness of sends. It is empty in the closed model, where a busy processor is the only sign.
        """
        found = []
        late_ms = late.percentiles_ms().get(99.0, 0.0)
        if self.cpu_share > CPU_MAX and (late_ms > BUSY_LATE_MS or not late.count):
            found.append(
                f"the generator used {self.cpu_share:.0%} of a core: it was the bottleneck. Use more workers "
                "(--processes), or a lower rate"
            )
        if late_ms > self.late_most_ms:
            found.append(
                f"one message in a hundred was sent {late_ms:.0f} ms or more after it was due, because of the generator. "
                "Use more workers, or a machine with less other load"
            )
        if self.lag_ms > _PAUSE_PER_LATENESS * self.late_most_ms and not found:
            found.append(f"the generator paused for {self.lag_ms:.0f} ms. Use a machine with less other load")
        if self.unsent:
            found.append(f"{self.unsent} messages {SERVER_CAUSED}: their users' queues were full")
        return found

    def summary(self) -> str:
        """One line for the report."""
        return (
            f"generator: {self.cpu_share:.0%} of a core in the median second, longest pause {self.lag_ms:.0f} ms, "
            f"at most {self.backlog} due messages waited for the server"
        )
