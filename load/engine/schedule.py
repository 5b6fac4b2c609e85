"""When messages are due, those of all users together: one heap, and one timer for its top."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from load.engine.figures import Figures
from verifier.judges.journal import JournalError

if TYPE_CHECKING:
    from load.engine.member import Member

_IDLE_S: Final = 0.05


class Schedule:
    """Tells members when a message of theirs is due, and counts how late it came to that. Runs in the engine's loop.

    `fail` is told when the journal takes nothing more.
    """

    def __init__(self, figures: Figures, fail: Callable[[JournalError], None]) -> None:
        self._figures, self._fail = figures, fail
        self._due: list[tuple[int, int, Member, Iterator[float] | None, int]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, member: Member, due_s: Iterator[float], base_ns: int) -> None:
        """A member's messages are due at these seconds after `base_ns`."""
        following = next(due_s, None)
        if following is not None:
            self._push(base_ns + round(following * 1e9), member, due_s, base_ns)

    def once(self, member: Member, due_ns: int) -> None:
        """One message is due then."""
        self._push(due_ns, member, None, 0)

    def clear(self) -> None:
        """Nothing is due any more."""
        self._due.clear()

    def _push(self, due_ns: int, member: Member, due_s: Iterator[float] | None, base_ns: int) -> None:
        self._count += 1
        heapq.heappush(self._due, (due_ns, self._count, member, due_s, base_ns))
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
            due_ns, _, member, due_s, base_ns = heapq.heappop(due)
            self._figures.late_ns.append(now_ns - due_ns)
            try:
                member.due(due_ns)
            except JournalError as error:
                self._fail(error)
                return
            if due_s is not None and member.sending:
                following = next(due_s, None)
                if following is not None:
                    self._count += 1
                    heapq.heappush(due, (base_ns + round(following * 1e9), self._count, member, due_s, base_ns))
        if due:
            self._wake(due[0][0])
