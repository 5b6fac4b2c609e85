"""The timeline of a run for charts: rates, latencies and losses, in steps of a second or more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from load.journal.layout import FAIL, INFO, OK, Column
from load.judging.delivery import Delivered
from load.judging.run_data import NEVER, NONE, RunData

POINTS_MAX: Final = 300
STEPS_S: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
CONVERSATIONS_MAX: Final = 20
PERCENTILES: Final = (50.0, 99.0)
_CHUNK: Final = 1 << 20
_DECADES: Final = 8  # from 1 microsecond to 100 s
_PER_DECADE: Final = 100


def timeline(run: RunData, delivered: Delivered) -> dict[str, Any]:
    """Counts and percentiles in ms of each step (None for a step without values), and the losses by conversation.

    `due`, `sent` and `lost` are counted at the time of the send, `acked`, `refused`, `pushed` and `readable` at their own times.
    `losses` has a row for each of the conversations with most losses. Percentiles come from a histogram and are exact to
    3 %.
    """
    sent = run.phase > 0
    if not sent.any():
        return {}
    began_ns = int(min(run.due_ns[sent].min(), run.begun_ns[sent].min()))
    pushed_ns = max(
        (int(run.received.at_ns[part][_pushed(run, part)].max(initial=0)) for part in _parts(len(run.received))),
        default=0,
    )
    readable_ns = run.readable_since_ns
    came_ns = readable_ns[sent & (readable_ns != NEVER)]
    last_ns = max(
        int(run.begun_ns[sent].max()), int(run.answered_ns[sent].max()), pushed_ns, int(came_ns.max(initial=0))
    )
    step_s = next((step for step in STEPS_S if (last_ns - began_ns) / 1e9 < step * POINTS_MAX), STEPS_S[-1])
    steps = _Steps(began_ns, step_s, int((last_ns - began_ns) // (step_s * 10**9)) + 1)
    counts = {name: np.zeros(steps.number, np.int64) for name in ("due", "sent", "acked", "refused", "pushed", "lost")}
    latency = {name: np.zeros((steps.number, _DECADES * _PER_DECADE), np.int64) for name in ("send", "push")}
    for part in _parts(len(run.phase)):
        phase = run.phase[part]
        was = phase > 0
        counts["due"] += steps.count(run.due_ns[part][was])
        counts["sent"] += steps.count(run.begun_ns[part][was])
        acked = phase == OK
        answered_ns = run.answered_ns[part]
        counts["acked"] += steps.count(answered_ns[acked])
        counts["refused"] += steps.count(answered_ns[phase == FAIL])
        steps.spread(latency["send"], answered_ns[acked], answered_ns[acked] - run.due_ns[part][acked])
    for part in _parts(len(run.received)):
        pushed = _pushed(run, part)
        at_ns = run.received.at_ns[part][pushed]
        counts["pushed"] += steps.count(at_ns)
        steps.spread(latency["push"], at_ns, at_ns - run.due_ns[run.received.message[part][pushed]])
    counts["readable"] = steps.count(came_ns)
    lost = np.unique(delivered.lost[0])
    counts["lost"] += steps.count(run.begun_ns[lost])
    return {
        "step_s": step_s,
        **{name: found.tolist() for name, found in counts.items()},
        "unanswered": int((run.phase == INFO).sum()),
        **{f"{name}_ms": _percentiles(found) for name, found in latency.items()},
        "losses": _losses(run, lost, steps),
    }


def _pushed(run: RunData, part: slice) -> Column:
    """The receptions that are pushes of messages of this run, as a mask."""
    found: Column = (run.received.connection[part] != NONE) & (run.phase[run.received.message[part]] > 0)
    return found


class _Steps:
    def __init__(self, began_ns: int, step_s: int, number: int) -> None:
        self._began_ns, self._step_ns, self.number = began_ns, step_s * 10**9, number

    def of(self, at_ns: Column) -> Column:
        """The step of each time; a worker's clock may differ a little."""
        found: Column = np.clip((at_ns - self._began_ns) // self._step_ns, 0, self.number - 1)
        return found

    def count(self, at_ns: Column) -> Column:
        """The number of these times in each step."""
        found: Column = np.bincount(self.of(at_ns), minlength=self.number)
        return found

    def spread(self, histogram: Column, at_ns: Column, took_ns: Column) -> None:
        """Add durations to the histograms of their steps."""
        us = np.maximum(took_ns / 1000, 1.0)
        bucket = np.minimum((np.log10(us) * _PER_DECADE).astype(np.int64), _DECADES * _PER_DECADE - 1)
        width = histogram.shape[1]
        flat = np.bincount(self.of(at_ns) * width + bucket, minlength=self.number * width)
        histogram += flat.reshape(histogram.shape)


def _parts(size: int) -> Iterator[slice]:
    for first in range(0, size, _CHUNK):
        yield slice(first, min(first + _CHUNK, size))


def _percentiles(histogram: Column) -> dict[str, list[float | None]]:
    totals = histogram.sum(axis=1)
    cumulated = histogram.cumsum(axis=1)
    found = {}
    for each in PERCENTILES:
        bucket = (cumulated >= np.ceil(totals * each / 100)[:, None]).argmax(axis=1)
        ms = np.round(10 ** ((bucket + 0.5) / _PER_DECADE) / 1000, 3)
        found[f"p{each:g}"] = [
            value if total else None for value, total in zip(ms.tolist(), totals.tolist(), strict=True)
        ]
    return found


def _losses(run: RunData, lost: Column, steps: _Steps) -> list[dict[str, Any]]:
    """The conversations with most losses; `counts` holds [step, number] pairs."""
    if not len(lost):
        return []
    conversation = run.conversation[lost]
    totals = np.bincount(conversation)
    worst = np.argsort(-totals, kind="stable")[:CONVERSATIONS_MAX]
    rows = []
    for one in worst[totals[worst] > 0].tolist():
        counted = steps.count(run.begun_ns[lost[conversation == one]])
        steps_with_losses = np.flatnonzero(counted)
        rows.append(
            {
                "conversation": run.conversations[one],
                "lost": int(totals[one]),
                "counts": [[int(step), int(counted[step])] for step in steps_with_losses],
            }
        )
    return rows
