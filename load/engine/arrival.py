"""When the next message is due, in an open model: a slow server does not slow the senders down.

Due times are fixed by the model alone. A sender that falls behind sends at once and reports how late it is, so a
server's pause shows as lateness in the numbers instead of being omitted from them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from load.config import ArrivalModel


def due_times(model: ArrivalModel, rate_per_s: float, rng: random.Random) -> Iterator[float]:
    """Seconds after the start at which messages are due, ascending, without end.

    `even`: equal gaps after a random first gap, so that senders are not synchronised. `poisson`: independent arrivals.
    Raises ValueError for a rate that is not positive, and for other models.
    """
    if rate_per_s <= 0:
        raise ValueError(f"the rate must be greater than 0 messages per second, not {rate_per_s}")
    if model not in ("even", "poisson"):
        raise ValueError(f"the due times of the {model} model do not follow from a rate alone")
    if model == "even":
        first = rng.random() / rate_per_s
        return (first + number / rate_per_s for number in count())
    return _poisson(rate_per_s, rng)


def _poisson(rate_per_s: float, rng: random.Random) -> Iterator[float]:
    due_s = 0.0
    while True:
        due_s += rng.expovariate(rate_per_s)
        yield due_s


def ramp_times(from_per_s: float, to_per_s: float, over_s: float) -> Iterator[float]:
    """Due times of a rate that changes linearly from one value to another and then stays. Raises ValueError."""
    if min(from_per_s, to_per_s) < 0 or to_per_s <= 0 or over_s <= 0:
        raise ValueError("a ramp starts at a rate of 0 or more and ends at one above 0, in more than 0 s")
    slope = (to_per_s - from_per_s) / over_s
    in_ramp = (from_per_s + to_per_s) / 2 * over_s
    for number in count(1):
        if number > in_ramp:
            yield over_s + (number - in_ramp) / to_per_s
        elif slope == 0:
            yield number / from_per_s
        else:
            # The number of messages until t is from*t + slope*t^2/2.
            yield (math.sqrt(from_per_s**2 + 2 * slope * number) - from_per_s) / slope


def trace_times(path: Path) -> list[float]:
    """Due times from a file: one number of seconds per line, ascending. Raises ValueError and OSError."""
    times = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            times.append(float(line))
        except ValueError:
            raise ValueError(f"line {number} of {path} is not a number of seconds: {line[:40]!r}") from None
        if not math.isfinite(times[-1]) or times[-1] < (times[-2] if len(times) > 1 else 0.0):
            raise ValueError(f"line {number} of {path} goes back in time; sort the trace")
    return times


class Pace:
    """The due times of one sender. `started_s` and `now_s` are times of one monotonic clock."""

    def __init__(self, due_s: Iterator[float], started_s: float) -> None:
        self._due_s = due_s
        self._started_s = started_s
        self._next_s = started_s + next(due_s)

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next message is due; 0 if it is late."""
        return max(0.0, self._next_s - now_s)

    def take(self, now_s: float) -> float:
        """Advance to the next message; returns how late the current one is, in seconds."""
        late_s = max(0.0, now_s - self._next_s)
        self._next_s = self._started_s + next(self._due_s)
        return late_s
