"""Latencies of a whole run from its journals, counted from the due time of each message."""

from __future__ import annotations

from typing import Final

import numpy as np

from load.engine.figures import Latency
from load.journal.layout import OK
from load.judging.run_data import NONE, RunData

_CHUNK: Final = 1 << 20


def latencies(run: RunData) -> dict[str, Latency]:
    """`send`: from due to acknowledgement; `push`: from due to each push, at each receiver."""
    send, push = Latency(), Latency()
    for first in range(0, len(run.phase), _CHUNK):
        part = slice(first, first + _CHUNK)
        acked = run.phase[part] == OK
        send.add_ns(run.answered_ns[part][acked] - run.due_ns[part][acked])
    for first in range(0, len(run.received), _CHUNK):
        part = slice(first, first + _CHUNK)
        message = run.received.message[part]
        pushed = (run.received.connection[part] != NONE) & (run.phase[message] > 0)
        push.add_ns(run.received.at_ns[part][pushed] - run.due_ns[message[pushed]])
    return {name: found for name, found in (("send", send), ("push", push)) if found.count}


def in_ms(found: dict[str, Latency]) -> dict[str, dict[str, float]]:
    """For a report: percentiles by name, e.g. `p99`."""
    return {
        name: {f"p{each:g}": float(np.round(value, 3)) for each, value in latency.percentiles_ms().items()}
        for name, latency in found.items()
    }
