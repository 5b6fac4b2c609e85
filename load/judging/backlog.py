"""How far the server stored behind its acknowledgements: the backlog, whether it grew, and how long it took to drain.

A message is *unstored* from its acknowledgement until it is readable, that is until somebody sees it or a later one of its
conversation. What is lost is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from load.journal.layout import OK, Column
from load.judging.run_data import NEVER, RunData
from load.results import BacklogResult

STEP_NS = 250_000_000
WARM_UP_SHARE = 0.2
"""The first part of a run, in which queues fill, says nothing about growth."""
T_95 = 2.0
"""Student's t for 95 % and many degrees of freedom, rounded up."""


@dataclass(frozen=True, kw_only=True)
class Slope:
    """A straight line through a series: its rise per second, and half the width of its 95 % interval."""

    per_s: float
    error_per_s: float


def backlog_of(run: RunData, lost: Column) -> BacklogResult | None:
    """The backlog of a run; None if nothing was acknowledged. `lost`: the messages that are lost."""
    acked = run.phase == OK
    acked[lost] = False
    if not acked.any():
        return None
    answered_ns, readable_ns = run.answered_ns[acked], run.readable_since_ns[acked]
    seen = readable_ns != NEVER
    readable_ns = np.maximum(readable_ns[seen], answered_ns[seen])
    began_ns, sent_ns = int(run.begun_ns[acked].min()), int(run.begun_ns[acked].max())
    last_ns = max(sent_ns, int(readable_ns.max(initial=0)))
    times = np.arange(began_ns, last_ns + STEP_NS, STEP_NS)
    unstored = _until(answered_ns, times) - _until(readable_ns, times)
    sending = (times >= began_ns + WARM_UP_SHARE * (sent_ns - began_ns)) & (times <= sent_ns)
    growth = slope(times[sending] / 1e9, unstored[sending])
    behind = int((answered_ns <= sent_ns).sum() - (readable_ns <= sent_ns).sum())
    after = int((readable_ns > sent_ns).sum())
    drain_s = (last_ns - sent_ns) / 1e9
    return BacklogResult(
        unstored_most=int(unstored.max(initial=0)),
        unstored_at_end=max(0, behind),
        unreadable=int((~seen).sum()),
        drain_s=round(drain_s, 3) if seen.all() else None,
        drained_per_s=round(after / drain_s, 1) if after and drain_s > 0 else None,
        growth_per_s=round(growth.per_s, 3) if growth else None,
        growth_error_per_s=round(growth.error_per_s, 3) if growth else None,
    )


def slope(seconds: Column, values: Column) -> Slope | None:
    """The least-squares line; None for fewer than ten points. Neighbouring points depend on each other, so the error is computed
    from as many points as there are seconds."""
    number = len(seconds)
    if number < 10:
        return None
    centred = seconds - seconds.mean()
    spread = float((centred**2).sum())
    per_s = float((centred * (values - values.mean())).sum() / spread)
    residuals = values - values.mean() - per_s * centred
    independent = max(1.0, float(seconds[-1] - seconds[0]))
    variance = float((residuals**2).mean()) / spread * number / independent
    return Slope(per_s=per_s, error_per_s=T_95 * variance**0.5)


def _until(events_ns: Column, times: Column) -> Column:
    """How many events happened until each time."""
    found: Column = np.searchsorted(np.sort(events_ns), times, side="right")
    return found
