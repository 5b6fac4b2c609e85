"""The due times of all users' messages: one heap, and one timer for its first entry."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from load.engine.figures import Figures
from verifier.judges.journal import JournalError

_IDLE_S: Final = 0.05


class Sender(Protocol):
    """A user whose messages are scheduled."""

    sending: bool

    def due(self, due_ns: int) -> None:
        """A message is due. Raises JournalError."""


class Schedule:
    """Calls senders when a message is due, and records how late it does so. Runs in the engine's loop.

    `fail` is called when the journal cannot be written any more.
    """

    def __init__(self, figures: Figures, fail: Callable[[JournalError], None]) -> None:
        self._figures, self._fail = figures, fail
        self._due: list[tuple[int, int, Sender, Iterator[float] | None, int]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, sender: Sender, due_s: Iterator[float], base_ns: int) -> None:
        """A sender's messages are due at these seconds after `base_ns`."""
        following = next(due_s, None)
        if following is not None:
            self._push(base_ns + round(following * 1e9), sender, due_s, base_ns)

    def once(self, sender: Sender, due_ns: int) -> None:
        """One message is due then."""
        self._push(due_ns, sender, None, 0)

    def clear(self) -> None:
        """Drop everything that is scheduled."""
        self._due.clear()

    def _push(self, due_ns: int, sender: Sender, due_s: Iterator[float] | None, base_ns: int) -> None:
        self._count += 1
        heapq.heappush(self._due, (due_ns, self._count, sender, due_s, base_ns))
        if self._due[0][1] == self._count:
            self._wake(due_ns)

    def _wake(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = min(max((due_ns - time.monotonic_ns()) / 1e9, 0.0), _IDLE_S)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._send_due)

    def _send_due(self) -> None:
        due, now_ns = self._due, time.monotonic_ns()
        self._timer = None
        while due and due[0][0] <= now_ns:
            due_ns, _, sender, due_s, base_ns = heapq.heappop(due)
            self._figures.late_ns.append(now_ns - due_ns)
            try:
                sender.due(due_ns)
            except JournalError as error:
                self._fail(error)
                return
            if due_s is not None and sender.sending:
                following = next(due_s, None)
                if following is not None:
                    self._count += 1
                    heapq.heappush(due, (base_ns + round(following * 1e9), self._count, sender, due_s, base_ns))
        if due:
            self._wake(due[0][0])
