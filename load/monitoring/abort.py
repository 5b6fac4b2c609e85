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


class AbortMonitor:
    """Compares one process's figures with the limits, one second at a time."""

    def __init__(self, limits: AbortLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
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
        p99_ms = float(np.percentile(window.ack_ns, 99)) / 1e6 if window.ack_ns else None
        return [
            ("errors", share, limits.error_share_most, "errors {:.1%} of the answers"),
            ("p99", p99_ms, limits.send_p99_ms, "send-p99 {:.0f} ms"),
            ("backlog", window.backlog, limits.backlog_most, "backlog {:.0f} messages"),
        ]
