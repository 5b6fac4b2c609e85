"""How far a worker's clock is from the master's, so that events of several machines can be put in one order.

A worker asks for the master's time. The answer was given between request and reply, so half of the round trip bounds
the error (Cristian, 1989); the reply with the shortest round trip is used. Both ends of a conversation are in one
process: no latency and no verdict compares two clocks, only the order of events in the timeline of the whole run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent.queue import Empty, Queue

CLOCK_REQUEST, CLOCK_REPLY = "openim_clock_ask", "openim_clock_tell"
_PROBES: Final = 8
_TIMEOUT_S: Final = 2.0
_PAUSE_S: Final = 0.05
_EVERY_S: Final = 30.0
_SHIFT_NS: Final = time.time_ns() - time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Offset:
    """The difference of the master's time and a worker's; the true one is within `error_ns`."""

    ns: int
    error_ns: int


def answer(environment: Any, msg: Any, **_: Any) -> None:
    """The master's part: a listener that replies with the master's time."""
    if environment.runner is not None:
        # A monotonic clock: a wall clock that is set during a run would look like a worker's error.
        reply = {**msg.data, "time_ns": time.monotonic_ns() + _SHIFT_NS}
        environment.runner.send_message(CLOCK_REPLY, reply, client_id=msg.node_id)


class ClockComparison:
    """A worker's part: measures the offset periodically and passes each result to `found`, until stopped.

    `send(kind, data)` sends a message to the master; `now_ns` is the worker's time.
    """

    def __init__(
        self,
        send: Callable[[str, dict[str, Any]], None],
        now_ns: Callable[[], int],
        found: Callable[[int, int], None],
    ) -> None:
        self._send, self._now_ns, self._found = send, now_ns, found
        self._replies: Queue[tuple[int, int, int]] = Queue()
        self._requests = 0
        self._greenlet = gevent.spawn(self._run)

    def reply(self, request: int, time_ns: int) -> None:
        """The master's reply to one request."""
        self._replies.put((request, time_ns, self._now_ns()))

    def stop(self) -> None:
        """Stop measuring."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            probes = [probe for _ in range(_PROBES) if (probe := self._probe()) is not None]
            if probes:
                best = min(probes, key=lambda one: one.error_ns)
                self._found(best.ns, best.error_ns)
            gevent.sleep(_EVERY_S)

    def _probe(self) -> Offset | None:
        self._requests += 1
        began_ns = self._now_ns()
        self._send(CLOCK_REQUEST, {"asked": self._requests})
        try:
            while True:
                request, time_ns, received_ns = self._replies.get(timeout=_TIMEOUT_S)
                if request == self._requests:
                    break
        except Empty:
            return None
        gevent.sleep(_PAUSE_S)
        return Offset(time_ns - (began_ns + received_ns) // 2, (received_ns - began_ns + 1) // 2)
