"""How far a worker's clock is from its master's, so that what happened on several machines can be put in one order.

A worker asks what time it is; the answer lies between asking and hearing it, so half the way there and back bounds the error (Cristian,
1989), and the answer that took least says it best. Both ends of a conversation are in one process: no latency and no verdict crosses
two clocks, only the order of events in the picture of the whole run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.queue import Empty, Queue

if TYPE_CHECKING:
    # Locust patches the process that imports it.
    from locust.env import Environment
    from locust.runners import Runner

ASK, TELL = "openim_clock_ask", "openim_clock_tell"
_PROBES: Final = 8
_WITHIN_S: Final = 2.0
_PAUSE_S: Final = 0.05
_EVERY_S: Final = 30.0
_SHIFT_NS: Final = time.time_ns() - time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Offset:
    """What to add to a worker's time to get its master's, give or take `error_ns`."""

    ns: int
    error_ns: int


def answer(environment: Environment, msg: Any, **_: Any) -> None:
    """The master's part: say what time it is."""
    if environment.runner is not None:
        # A steady clock: one that is set in the middle of a run would look like a worker's fault.
        told = {**msg.data, "time_ns": time.monotonic_ns() + _SHIFT_NS}
        environment.runner.send_message(TELL, told, client_id=msg.node_id)


class Comparing:
    """A worker's part: compares its clock now and then, and hands each result to `found`, until stopped."""

    def __init__(self, runner: Runner, now_ns: Callable[[], int], found: Callable[[int, int], None]) -> None:
        self._runner, self._now_ns, self._found = runner, now_ns, found
        self._heard: Queue[tuple[int, int, int]] = Queue()
        self._asked = 0
        self._greenlet = gevent.spawn(self._run)

    def hear(self, asked: int, time_ns: int) -> None:
        """The master's answer to one question."""
        self._heard.put((asked, time_ns, self._now_ns()))

    def stop(self) -> None:
        """Ask no more."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            probes = [probe for _ in range(_PROBES) if (probe := self._probe()) is not None]
            if probes:
                best = min(probes, key=lambda one: one.error_ns)
                self._found(best.ns, best.error_ns)
            gevent.sleep(_EVERY_S)

    def _probe(self) -> Offset | None:
        self._asked += 1
        began_ns = self._now_ns()
        self._runner.send_message(ASK, {"asked": self._asked})
        try:
            while True:
                asked, time_ns, heard_ns = self._heard.get(timeout=_WITHIN_S)
                if asked == self._asked:
                    break
        except Empty:
            return None
        gevent.sleep(_PAUSE_S)
        return Offset(time_ns - (began_ns + heard_ns) // 2, (heard_ns - began_ns + 1) // 2)
