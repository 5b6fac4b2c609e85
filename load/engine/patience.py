"""How long a read-back goes on: while messages become readable, until the server is quiet, and never beyond a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


class Patience:
    """The state of one read-back; it starts when it is made.

    Attributes:
        expected, readable: how many messages were acknowledged, and how many positions are taken; 0 while unknown.
    """

    def __init__(self, *, quiet_s: float, deadline_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`quiet_s`: without progress for this long, the server is quiet. `deadline_s`: the time for all of it."""
        self._clock, self._quiet_s = clock, quiet_s
        self._began_s = self._last_s = clock()
        self.until_s = self._began_s + deadline_s
        self.expected = self.readable = 0
        self._first: int | None = None

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() >= self.until_s

    @property
    def last_s(self) -> float:
        """When a message last became readable, as far as this process knows."""
        return self._last_s

    def is_quiet(self, at_s: float | None = None) -> bool:
        """Whether nothing had become readable for `quiet_s` at a moment, by default now."""
        return (self._clock() if at_s is None else at_s) - self._last_s >= self._quiet_s

    def progressed(self, at_s: float | None = None) -> None:
        """A message became readable."""
        self._last_s = max(self._last_s, self._clock() if at_s is None else at_s)

    def count(self, readable: int, expected: int) -> None:
        """The positions that are taken now; more than before are progress."""
        if self._first is None:
            self._first = readable
        elif readable > self.readable:
            self.progressed()
        self.readable, self.expected = readable, expected

    def pause_s(self, pause_s: float) -> float:
        """A pause that ends no later than the quiet time or the deadline."""
        now_s = self._clock()
        ends = [at_s - now_s for at_s in (self._last_s + self._quiet_s, self.until_s) if at_s > now_s]
        return max(0.0, min([pause_s, *ends]))

    def __str__(self) -> str:
        if not self.expected or self._first is None:
            return "waiting for the messages to become readable"
        took_s = max(self._clock() - self._began_s, 1e-9)
        rate = (self.readable - self._first) / took_s
        left = max(0, self.expected - self.readable)
        text = f"readable {self.readable:,} of {self.expected:,}".replace(",", "\u202f")
        if not left:
            return f"{text}, reading them back"
        if rate < 1:
            return f"{text}, none for {self._clock() - self._last_s:.0f} s"
        return f"{text}, {rate:.0f} per second, about {left / rate:.0f} s left"
