"""When the next message is due: an open model, in which a slow server does not slow the senders down.

Due times are fixed by the model alone. A sender that falls behind sends at once and says how late it is, so that a
server's pause shows as lateness instead of vanishing from the numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Literal, get_args

Model = Literal["even", "poisson"]
MODELS: tuple[str, ...] = get_args(Model)


def due_times(model: Model, rate_per_s: float, rng: random.Random) -> Iterator[float]:
    """Seconds after the start at which messages are due, growing without end.

    `even`: equal gaps, after a first gap drawn at random so that senders do not march in step. `poisson`: independent
    arrivals. Raises ValueError for a rate that is not positive.
    """
    if rate_per_s <= 0:
        raise ValueError(f"a rate of {rate_per_s} messages a second is no load; give one above 0")
    if model == "even":
        first = rng.random() / rate_per_s
        return (first + number / rate_per_s for number in count())
    return _poisson(rate_per_s, rng)


def _poisson(rate_per_s: float, rng: random.Random) -> Iterator[float]:
    due_s = 0.0
    while True:
        due_s += rng.expovariate(rate_per_s)
        yield due_s


class Pace:
    """Walks one sender through its due times. `started_s` and `now_s` are readings of one monotonic clock."""

    def __init__(self, due_s: Iterator[float], started_s: float) -> None:
        self._due_s = due_s
        self._started_s = started_s
        self._next_s = started_s + next(due_s)

    def wait_s(self, now_s: float) -> float:
        """How long until the next message is due; 0 if it is late."""
        return max(0.0, self._next_s - now_s)

    def take(self, now_s: float) -> float:
        """Take the message that is due; returns how late it is, in seconds."""
        late_s = max(0.0, now_s - self._next_s)
        self._next_s = self._started_s + next(self._due_s)
        return late_s
