"""Receptions by (message, receiver), in arrays of one row for each pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from load.journal.layout import NO_SEQ, Column
from load.judging.run_data import Receptions, RunData

_MOST = np.iinfo(np.int64).max


@dataclass(slots=True)
class PairTable:
    """One row for each (message, receiver) that has a reception, by message, then receiver.

    `order` sorts the receptions by pair, those of one pair in the order of the file; `start` is each pair's first index
    in it. `least` and `most` are seqs, over the receptions that have one (`with_seq` of `size`).
    """

    message: Column
    receiver: Column
    order: Column
    start: Column
    size: Column
    with_seq: Column
    least: Column
    most: Column

    def any_of(self, mask: Column) -> Column:
        """For each pair: whether one of its receptions is in the mask, which has the order of the file."""
        if not len(self.start):
            return np.zeros(0, bool)
        return np.logical_or.reduceat(mask[self.order], self.start)

    def of_receptions(self) -> Column:
        """For each reception in `order`: its pair."""
        return np.repeat(np.arange(len(self.start)), self.size)


def pairs_of(run: RunData) -> PairTable:
    """Group a run's receptions."""
    received = run.received
    key = received.message.astype(np.int64) * max(len(run.users), 1) + received.receiver
    order = np.argsort(key, kind="stable").astype(np.int32)
    key = key[order]
    start = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
    del key
    size = np.diff(np.append(start, len(order)))
    seq = received.seq[order]
    has = seq != NO_SEQ
    first = order[start]
    return PairTable(
        message=received.message[first],
        receiver=received.receiver[first],
        order=order,
        start=start,
        size=size,
        with_seq=np.add.reduceat(has.astype(np.int32), start) if len(start) else np.zeros(0, np.int32),
        least=np.minimum.reduceat(np.where(has, seq, _MOST), start) if len(start) else start,
        most=np.maximum.reduceat(seq, start) if len(start) else start,
    )


def several_positions(pairs: PairTable, received: Receptions) -> Column:
    """For each pair: whether its receptions have more than one position (seq, otherwise message id, otherwise each its own)."""
    several: Column = (pairs.with_seq > 1) & (pairs.least != pairs.most)
    # A reception without a seq has another position than one with a seq; among those without, the message ids decide.
    mixed = (pairs.with_seq > 0) & (pairs.with_seq < pairs.size)
    bare = (pairs.with_seq == 0) & (pairs.size > 1)
    for at in np.flatnonzero(bare).tolist():
        ids = received.message_id[pairs.order[pairs.start[at] : pairs.start[at] + pairs.size[at]]]
        several[at] = bool((ids == 0).any()) or len(np.unique(ids)) > 1
    several |= mixed
    return several
