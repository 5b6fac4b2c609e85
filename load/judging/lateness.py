"""Whether a message that a read-back lacks may only be late: the rule of `verifier.judges.delivery` over arrays."""

from __future__ import annotations

import numpy as np

from load.journal.layout import NO_SEQ, Column
from load.judging.run_data import NONE, RunData


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
        self._begun_at_ns, self._quiet_ns, self._progress_ns = begun_ns, quiet_ns, run.last_progress_ns
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
