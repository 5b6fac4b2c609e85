"""The rules of `verifier.judges.order` over arrays: the order of each sender's messages, and one seq for one message."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from load.journal.layout import NO_SEQ, OK, Column
from load.judging.groups import PairTable
from load.judging.run_data import RunData

_MOST = np.iinfo(np.int64).max
_RANK_BITS = 32


@dataclass(slots=True)
class Ordered:
    """The result of the rules.

    `inverted` are (earlier, later) messages: the earlier was acknowledged before the later was begun, and is stored
    after it. `odd` are messages that share a seq with another one, or have different seqs for different receivers;
    `seq_problems` is the number of their problems.
    """

    compared: int
    inverted: tuple[Column, Column]
    odd: Column
    seq_problems: int


def judge_order_columns(run: RunData, pairs: PairTable) -> Ordered | None:
    """Judge a run; None if there is nothing to compare."""
    known = run.phase[pairs.message] > 0
    lanes = _Lanes(run, pairs, known)
    compared, earlier, later = lanes.compare()
    odd, seq_problems = _seqs(run, pairs, known)
    if not compared and not len(earlier) and not seq_problems:
        return None
    return Ordered(compared=compared, inverted=(earlier, later), odd=odd, seq_problems=seq_problems)


class _Lanes:
    """The comparable positions: (lane, message, position) by seq, and by receiver where only arrival times are known."""

    def __init__(self, run: RunData, pairs: PairTable, known: Column) -> None:
        self._run = run
        by_seq = np.flatnonzero(known & (pairs.with_seq > 0))
        # The first receiver in the order of the file determines the position.
        first_seen = pairs.order[pairs.start[by_seq]]
        ranked = by_seq[np.lexsort((first_seen, pairs.message[by_seq]))]
        message = pairs.message[ranked]
        lead = np.ones(len(message), bool)
        lead[1:] = message[1:] != message[:-1]
        chosen = ranked[lead]
        bare = np.flatnonzero(known & (pairs.with_seq == 0))
        arrived = np.minimum.reduceat(run.received.at_ns[pairs.order], pairs.start) if len(pairs.start) else pairs.start
        self._message = np.concatenate([pairs.message[chosen], pairs.message[bare]])
        self._place = np.concatenate([pairs.least[chosen], arrived[bare]])
        sender = run.lane[self._message].astype(np.int64)
        other = np.concatenate([np.full(len(chosen), -1, np.int64), pairs.receiver[bare].astype(np.int64)])
        _, self._lane = np.unique(sender * (len(run.users) + 1) + other + 1, return_inverse=True)

    def compare(self) -> tuple[int, Column, Column]:
        """The number of messages that have an earlier one, and the inverted (earlier, later)."""
        run, message, place = self._run, self._message, self._place
        if not len(message):
            return 0, message, message
        # Of two at one position, the one that was acknowledged first counts as the later.
        by_place = np.lexsort((-run.answered_ns[message], place))
        rank = np.empty(len(place), np.int64)
        rank[by_place] = np.arange(len(place))
        acked = np.flatnonzero(run.phase[message] == OK)
        items = np.concatenate([acked, np.arange(len(message))])
        is_begin = np.concatenate([np.zeros(len(acked), bool), np.ones(len(message), bool)])
        at_ns = np.concatenate([run.answered_ns[message[acked]], run.begun_ns[message]])
        # By time within a lane; at the same time an acknowledgement precedes a begin.
        order = np.lexsort((is_begin, at_ns, self._lane[items]))
        items, is_begin = items[order], is_begin[order]
        lane = self._lane[items].astype(np.int64)
        base = lane << _RANK_BITS
        furthest = np.maximum.accumulate(np.where(is_begin, base, base + rank[items] + 1)) - base
        begun = is_begin & (furthest > 0)
        later = items[begun]
        earlier = by_place[furthest[begun] - 1]
        own = earlier == later
        later, earlier = later[~own], earlier[~own]
        wrong = place[earlier] > place[later]
        return len(later), message[earlier[wrong]], message[later[wrong]]


def _seqs(run: RunData, pairs: PairTable, known: Column) -> tuple[Column, int]:
    """Messages that share a seq, or have no seq in common for all receivers; and the number of problems."""
    candidates = _suspicious(run, pairs, known)
    if not len(candidates):
        return candidates, 0
    mark = np.zeros(len(run.phase), bool)
    mark[candidates] = True
    sorted_pair = pairs.of_receptions()
    chosen = mark[run.received.message[pairs.order]] & (run.received.seq[pairs.order] != NO_SEQ)
    pair, order = sorted_pair[chosen], pairs.order[chosen]
    message, seq = run.received.message[order].astype(np.int64), run.received.seq[order]
    # One triple for each (message, receiver, seq), in the order of the file.
    in_order = np.lexsort((order, pairs.order[pairs.start[pair]]))
    pair, message, seq = pair[in_order], message[in_order], seq[in_order]
    _, first = np.unique(np.stack([pair, seq]), axis=1, return_index=True)
    first.sort()
    pair, message, seq = pair[first], message[first], seq[first]
    shared = _shared(run, message, seq)
    apart = _apart(pair, message, seq)
    odd = np.unique(np.concatenate([message[shared], message[_same_place(run, message, seq, shared)], apart]))
    return odd, int(shared.sum()) + len(apart)


def _suspicious(run: RunData, pairs: PairTable, known: Column) -> Column:
    """Messages with several seqs, and messages that share their seq with another one."""
    rows = np.flatnonzero(known & (pairs.with_seq > 0))
    if not len(rows):
        return np.zeros(0, np.int32)
    message = pairs.message[rows]
    start = np.flatnonzero(np.concatenate([[True], message[1:] != message[:-1]]))
    least = np.minimum.reduceat(pairs.least[rows], start)
    most = np.maximum.reduceat(pairs.most[rows], start)
    message = message[start]
    several = message[least != most]
    # The lowest seq of every message, and all seqs of those that have several.
    mark = np.zeros(len(run.phase), bool)
    mark[several] = True
    extra = np.flatnonzero(mark[run.received.message] & (run.received.seq != NO_SEQ)) if len(several) else several
    holder = np.concatenate([message, run.received.message[extra]])
    seq = np.concatenate([least, run.received.seq[extra]])
    order = np.lexsort((seq, run.conversation[holder]))
    holder, seq = holder[order], seq[order]
    conversation = run.conversation[holder]
    same = (conversation[1:] == conversation[:-1]) & (seq[1:] == seq[:-1])
    group = np.concatenate([[0], np.cumsum(~same)])
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    crowded = np.minimum.reduceat(holder, starts) != np.maximum.reduceat(holder, starts)
    return np.unique(np.concatenate([several, holder[crowded[group]]]))


def _shared(run: RunData, message: Column, seq: Column) -> Column:
    """The triples at a seq that another message has first in the order of the file."""
    place = np.unique(np.stack([run.conversation[message].astype(np.int64), seq]), axis=1, return_inverse=True)[1]
    place = place.ravel()
    _, first = np.unique(place, return_index=True)
    found: Column = message[first][place] != message
    return found


def _same_place(run: RunData, message: Column, seq: Column, shared: Column) -> Column:
    """The triples at the seq of a shared one."""
    place = np.unique(np.stack([run.conversation[message].astype(np.int64), seq]), axis=1, return_inverse=True)[1]
    place = place.ravel()
    found: Column = np.isin(place, place[shared])
    return found


def _apart(pair: Column, message: Column, seq: Column) -> Column:
    """Messages that a receiver has at none of the first receiver's seqs; one entry for each such receiver."""
    _, first = np.unique(message, return_index=True)
    leader = np.isin(pair, pair[first])
    keys = np.unique(np.stack([message, seq]), axis=1, return_inverse=True)[1].ravel()
    agreed = np.isin(keys, keys[leader])
    others, at = np.unique(pair[~leader], return_inverse=True)
    agrees = np.zeros(len(others), bool)
    np.logical_or.at(agrees, at, agreed[~leader])
    owner = np.zeros(len(others), np.int64)
    owner[at] = message[~leader]
    return owner[~agrees]
