"""Could the generator keep up? If it could not, the numbers are its own and not the server's."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Final

from load.engine.figures import Latency

CPU_MOST: Final = 0.9
"""Of one core, in the usual second: Python runs on one, so above this the generator may set the pace."""

BUSY_LATE_MS: Final = 5.0
"""A loop that has little to do for each of its turns is busy long before it is full: while messages leave on time, it keeps up."""

LATE_MOST_MS: Final = 50.0
OF_THE_SERVER: Final = "were due and never sent"
"""The one doubt that is not the generator's doing: nobody took them."""
_LAG_PER_LATE: Final = 5.0
"""One pause may be so many times longer than what one message in a hundred may be late."""


@dataclass(slots=True)
class Fitness:
    """Watches one process while it sends.

    `late_most_ms` is how late one message in a hundred may leave before nothing is believed. `backlog` is the most that waited at a time: that is the server's doing.
    """

    late_most_ms: float = LATE_MOST_MS
    lag_ms: float = 0.0
    backlog: int = 0
    unsent: int = 0
    _seconds: list[float] = field(default_factory=list)
    _began: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    def look(self, *, backlog: int, lag_ms: float, unsent: int) -> None:
        """One sample; call it while the run is on, several times a second."""
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
        """Of one core, in the usual second (the median: connecting and the end are others)."""
        return statistics.median(self._seconds) if self._seconds else 0.0

    def doubts(self, late: Latency) -> list[str]:
        """Why this run's latencies and rates are not to be believed; empty where they are.

        `late` holds how late messages left; nothing in the closed model, where a busy processor is all there is to see.
        """
        found = []
        late_ms = late.percentiles_ms().get(99.0, 0.0)
        if self.cpu_share > CPU_MOST and (late_ms > BUSY_LATE_MS or not late.count):
            found.append(
                f"the generator used {self.cpu_share:.0%} of a core: it was the bottleneck. Use more workers "
                "(--processes), or a lower rate"
            )
        if late_ms > self.late_most_ms:
            found.append(
                f"one message in a hundred left {late_ms:.0f} ms or more after it was due, by the generator's own "
                "fault. Use more workers, or a quieter machine"
            )
        if self.lag_ms > _LAG_PER_LATE * self.late_most_ms and not found:
            found.append(f"the generator stood still for {self.lag_ms:.0f} ms. Use a quieter machine")
        if self.unsent:
            found.append(f"{self.unsent} messages {OF_THE_SERVER}: their users' queues were full")
        return found

    def summary(self) -> str:
        """One line for the report."""
        return (
            f"generator: {self.cpu_share:.0%} of a core in the usual second, longest pause {self.lag_ms:.0f} ms, "
            f"at most {self.backlog} due messages waited for the server"
        )
