"""Checkpoints of a run, written as often as they cost next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

COST_SHARE = 0.02
"""The share of a run's time that checkpoints may take."""
FIRST_COST_S = 0.005


class CheckpointStore(Protocol):
    """Where checkpoints are kept. The history implements it."""

    def checkpoint(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """The latest checkpoint of a reading, or None."""

    def save_checkpoint(
        self, check_id: str, slot: str, value: Mapping[str, Any], *, reads: Mapping[str, int] | None = None
    ) -> None:
        """Store a checkpoint and the number of statements that were sent to each store so far."""


class Checkpoints:
    """The checkpoints of one run.

    `save` may be called after every chunk. It writes only while the cost of all checkpoints stays within `COST_SHARE` of
    the run's time.
    """

    def __init__(
        self,
        store: CheckpointStore,
        reads: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._reads = reads
        self._clock = clock
        self._started = clock()
        self.spent_s = 0.0
        self.written = 0
        self._dearest_s = FIRST_COST_S

    def load(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """The checkpoint that an interrupted run left, or None."""
        return self._store.checkpoint(check_id, slot)

    def save(self, check_id: str, slot: str, make: Callable[[], Mapping[str, Any]]) -> bool:
        """Write the result of `make` if the cost allows it. Returns whether it was written."""
        begun = self._clock()
        if self.spent_s + self._dearest_s > COST_SHARE * (begun - self._started):
            return False
        self._store.save_checkpoint(check_id, slot, make(), reads=self._reads())
        cost_s = self._clock() - begun
        self.spent_s += cost_s
        self.written += 1
        # A slow disk delays the next checkpoint. After it has recovered, the expected cost falls step by step.
        self._dearest_s = max(cost_s, self._dearest_s * 0.9)
        return True
