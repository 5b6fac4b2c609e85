"""Abort limits: a run ends early when a limit is exceeded for long enough."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from load.config import AbortLimits
from load.engine.figures import Figures

_WINDOW_S: Final = 1.0


@dataclass(slots=True)
class _Window:
    began_s: float
    answered: int = 0
    failed: int = 0
    backlog: int = 0
    ack_ns: array[int] = field(default_factory=lambda: array("q"))
    push_ns: array[int] = field(default_factory=lambda: array("q"))


class AbortMonitor:
    """Compares one process's figures with the limits, one second at a time. `unstored` counts acknowledged messages that are not
    readable; it is called only if there is a limit of them."""

    def __init__(
        self,
        limits: AbortLimits,
        clock: Callable[[], float] = time.monotonic,
        unstored: Callable[[], int] = lambda: 0,
    ) -> None:
        self._limits, self._clock, self._unstored = limits, clock, unstored
        self._window = _Window(clock())
        self._since_s: dict[str, float] = {}

    def check(self, figures: Figures, backlog: int) -> str | None:
        """Add a batch of figures; returns why the run must end once a limit was exceeded for long enough, else None."""
        if not self._limits:
            return None
        window, now_s = self._window, self._clock()
        failed = figures.refused + figures.unknown
        window.answered += figures.acked + failed
        window.failed += failed
        window.backlog = max(window.backlog, backlog)
        window.ack_ns.extend(figures.ack_ns)
        window.push_ns.extend(figures.push_ns)
        if now_s - window.began_s < _WINDOW_S:
            return None
        self._window = _Window(now_s)
        for name, value, limit, text in self._measured(window):
            if value is None or limit is None:
                continue  # a second without an answer neither meets nor exceeds a limit of answers
            if value <= limit:
                self._since_s.pop(name, None)
            elif now_s - self._since_s.setdefault(name, window.began_s) >= self._limits.after_s:
                return (
                    f"{text.format(value)}, for {self._limits.after_s:g} s above {text.format(limit).split(' ', 1)[1]}"
                )
        return None

    def _measured(self, window: _Window) -> list[tuple[str, float | None, float | None, str]]:
        limits = self._limits
        share = window.failed / window.answered if window.answered else None
        unstored = self._unstored() if limits.unstored_most is not None else None
        return [
            ("errors", share, limits.error_share_most, "errors {:.1%} of the answers"),
            ("p99", _p99_ms(window.ack_ns), limits.send_p99_ms, "send-p99 {:.0f} ms"),
            ("backlog", window.backlog, limits.backlog_most, "backlog {:.0f} messages"),
            ("push lag", _p99_ms(window.push_ns), limits.push_lag_ms, "push-lag-p99 {:.0f} ms"),
            ("unstored", unstored, limits.unstored_most, "unstored {:.0f} messages"),
        ]


def _p99_ms(times_ns: array[int]) -> float | None:
    return float(np.percentile(times_ns, 99)) / 1e6 if times_ns else None
