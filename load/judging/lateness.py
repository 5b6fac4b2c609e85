"""Whether a message that a read-back lacks may only be late: the rule of `verifier.judges.delivery` over arrays."""

from __future__ import annotations

import numpy as np

from load.journal.layout import NO_SEQ, Column
from load.judging.run_data import NONE, RunData

NEVER = np.iinfo(np.int64).max


class Lateness:
    """The latest read-backs of a run: what they contain, and whether the server was quiet when they began."""

    def __init__(self, run: RunData, quiet_ns: int) -> None:
        self._run, self._users = run, max(len(run.users), 1)
        count = max((read for read, *_ in run.latest.values()), default=NONE) + 1
        begun_ns, size = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._is_latest = np.zeros(count, bool)
        for read, at_ns, begin, end in run.latest.values():
            begun_ns[read], size[read] = at_ns, max(0, end - begin + 1)
            self._is_latest[read] = True
        self._begun_at_ns, self._quiet_ns, self._progress_ns = begun_ns, quiet_ns, last_progress_ns(run)
        rows = np.flatnonzero((run.received.read != NONE) & (run.received.read < count))
        rows = rows[self._is_latest[run.received.read[rows]]]
        self._whole = self._without_holes(rows, size)
        self._keys, self._begun_ns = self._newest_by_sender(rows)

    def is_ruled_out(self, message: Column, read: Column) -> Column:
        """For each message and the read-back that lacks it: whether it cannot become readable any more."""
        run = self._run
        key = read * self._users + run.lane_user[run.lane[message]]
        at = np.searchsorted(self._keys, key)
        inside = np.flatnonzero(at < len(self._keys))
        inside = inside[self._keys[at[inside]] == key[inside]]
        overtaken = np.zeros(len(message), bool)
        overtaken[inside] = self._begun_ns[at[inside]] > run.answered_ns[message[inside]]
        busy_ns = np.maximum(self._progress_ns, run.answered_ns[message])
        quiet = self._begun_at_ns[read] - busy_ns >= self._quiet_ns
        found: Column = quiet | (overtaken & self._whole[read])
        return found

    def _without_holes(self, rows: Column, size: Column) -> Column:
        """For each read-back: whether each of its seqs has a message of the run."""
        received = self._run.received
        read, seq = received.read[rows].astype(np.int64), received.seq[rows]
        bare = np.zeros(len(size), bool)
        bare[read[seq == NO_SEQ]] = True
        first = np.zeros(len(size), np.int64)
        for number, _, begin, _ in self._run.latest.values():
            first[number] = begin
        inside = (seq != NO_SEQ) & (seq >= first[read]) & (seq < first[read] + size[read])
        places = np.unique(np.stack([read[inside], seq[inside]]), axis=1)[0]
        whole: Column = (np.bincount(places, minlength=len(size)) == size) & ~bare
        return whole

    def _newest_by_sender(self, rows: Column) -> tuple[Column, Column]:
        """Sorted (read-back, sender), and when the newest of the messages there began to be sent."""
        run = self._run
        message = run.received.message[rows]
        sent = run.phase[message] > 0
        message, read = message[sent], run.received.read[rows][sent].astype(np.int64)
        key, begun_ns = read * self._users + run.lane_user[run.lane[message]], run.begun_ns[message]
        order = np.lexsort((begun_ns, key))
        key, begun_ns = key[order], begun_ns[order]
        last = np.append(key[1:] != key[:-1], True) if len(key) else np.zeros(0, bool)
        return key[last], begun_ns[last]


def last_progress_ns(run: RunData) -> int:
    """When a message of the run was last seen for the first time, by anybody; 0 if none was seen."""
    first_ns = first_seen_ns(run)
    seen = (run.phase > 0) & (first_ns != NEVER)
    return int(first_ns[seen].max()) if seen.any() else 0


def first_seen_ns(run: RunData) -> Column:
    """When each message was first seen, by anybody; NEVER if it was not."""
    first_ns = np.full(len(run.phase), NEVER, np.int64)
    np.minimum.at(first_ns, run.received.message, run.received.at_ns)
    return first_ns


def readable_since_ns(run: RunData) -> Column:
    """The latest time at which each message became readable: when it, or a later one of its conversation, was first seen."""
    since_ns, received = first_seen_ns(run), run.received
    rows = np.flatnonzero((received.seq != NO_SEQ) & (run.phase[received.message] > 0))
    if not len(rows):
        return since_ns
    message, seq = received.message[rows], received.seq[rows]
    order = np.lexsort((-seq, run.conversation[message]))
    message = message[order]
    conversation = run.conversation[message]
    starts = np.flatnonzero(np.append(True, conversation[1:] != conversation[:-1]))
    for part in np.split(message, starts[1:]):
        since_ns[part] = np.minimum.accumulate(since_ns[part])
    return since_ns
