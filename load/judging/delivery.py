"""The rules of `verifier.judges.delivery` over arrays: the same numbers, for tens of millions of events.

Problems are pairs (message, receiver); `naming` makes the sentences for those that a report shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from load.journal.layout import FAIL, INFO, NO_SEQ, OK, Column
from load.judging.groups import PairTable, several_positions
from load.judging.lateness import Lateness
from load.judging.run_data import RunData
from verifier.judges.delivery import DeliveryTally

_Found = tuple[Column, Column]
"""Messages, and their receivers row by row."""


@dataclass(slots=True)
class Delivered:
    """The result of the rules. `sent` is the sum of `acked`, `refused` and `unknown_sends`."""

    sent: int
    acked: int
    refused: int
    unknown_sends: int
    recovered_sends: int
    tallies: dict[str, DeliveryTally]
    lost: _Found
    duplicated: _Found
    altered: _Found
    unexpected: _Found
    stored: _Found = field(default_factory=lambda: (np.zeros(0, np.int32), np.zeros(0, np.int32)))

    @property
    def problem_messages(self) -> Column:
        """Every message with a problem."""
        return np.unique(np.concatenate([self.lost[0], self.duplicated[0], self.altered[0], self.unexpected[0]]))

    @property
    def problems_total(self) -> int:
        """The number of problems, one for each pair and kind."""
        return sum(len(found[0]) for found in (self.lost, self.duplicated, self.altered, self.unexpected))


def judge_columns(run: RunData, pairs: PairTable, *, settle_s: float, quiet_s: float | None = None) -> Delivered | None:
    """Judge a run; None if nothing was sent and nothing received. See `judge_delivery` for the times."""
    if not (run.phase > 0).any() and not len(run.received):
        return None
    lateness = None if quiet_s is None else Lateness(run, round(quiet_s * 1e9))
    return _Judge(run, pairs, round(settle_s * 1e9), lateness).judge()


class _Judge:
    def __init__(self, run: RunData, pairs: PairTable, settle_ns: int, lateness: Lateness | None) -> None:
        self._run, self._pairs, self._settle_ns = run, pairs, settle_ns
        self._lateness = lateness
        self._users = max(len(run.users), 1)
        self._reads = _Reads(run)
        self._counts = {name: np.zeros(self._users, np.int64) for name in DeliveryTally.__slots__}

    def judge(self) -> Delivered:
        """Apply all rules."""
        run, pairs = self._run, self._pairs
        phase = run.phase[pairs.message]
        conversation = run.conversation[pairs.message]
        member = self._is_member(conversation, pairs.receiver) & (phase > 0)
        unexpected = (phase == 0) | (phase == FAIL) | ~member
        due = member & (phase == OK)
        recovered = member & (phase == INFO)
        self._count("unexpected", unexpected)
        self._count("recovered", recovered)
        vanished = self._judge_received(due, conversation)
        twice = several_positions(pairs, run.received) & member
        altered = pairs.any_of(run.received.altered) & member
        self._count("duplicated", twice)
        self._count("altered", altered)
        missing = self._judge_not_received(due)
        lost = (
            np.concatenate([pairs.message[vanished], missing[0]]),
            np.concatenate([pairs.receiver[vanished], missing[1]]),
        )
        return Delivered(
            sent=int((run.phase > 0).sum()),
            acked=int((run.phase == OK).sum()),
            refused=int((run.phase == FAIL).sum()),
            unknown_sends=int((run.phase == INFO).sum()),
            recovered_sends=len(np.unique(pairs.message[recovered])),
            tallies=self._tallies(),
            lost=lost,
            duplicated=(pairs.message[twice], pairs.receiver[twice]),
            altered=(pairs.message[altered], pairs.receiver[altered]),
            unexpected=(pairs.message[unexpected], pairs.receiver[unexpected]),
            stored=(pairs.message[due & ~vanished], pairs.receiver[due & ~vanished]),
        )

    def _judge_received(self, due: Column, conversation: Column) -> Column:
        """Acknowledged and received: delivered, or missing in a later read. Returns which of the pairs vanished."""
        run, pairs = self._run, self._pairs
        read, begun_ns, begin, end = self._reads.of(conversation, pairs.receiver)
        order = pairs.of_receptions()
        sorted_read = run.received.read[pairs.order]
        present = np.zeros(len(due), bool)
        present[order[(sorted_read == read[order]) & (sorted_read >= 0)]] = True
        seq = run.received.seq[pairs.order]
        covered = np.zeros(len(due), bool)
        covered[order[(seq != NO_SEQ) & (seq >= begin[order]) & (seq <= end[order])]] = True
        covered |= pairs.with_seq == 0
        waited = begun_ns - run.answered_ns[pairs.message] >= self._settle_ns
        vanished: Column = due & ~present & (read >= 0) & waited & covered
        if self._lateness is not None:
            candidates = np.flatnonzero(vanished)
            vanished[candidates] = self._lateness.is_ruled_out(pairs.message[candidates], read[candidates])
        self._count("expected", due)
        self._count("received", due & ~vanished)
        self._count("lost", vanished)
        return vanished

    def _judge_not_received(self, due: Column) -> tuple[Column, Column]:
        """Acknowledged and not received by all: lost if a later read covers the message, otherwise unknown."""
        run, pairs = self._run, self._pairs
        seen_by = np.bincount(pairs.message[due], minlength=len(run.phase))
        sizes = np.array([len(members) for members in run.members] or [0], np.int64)
        acked = np.flatnonzero(run.phase == OK)
        conversation = run.conversation[acked]
        short = acked[seen_by[acked] < sizes[conversation]]
        seen_keys = pairs.message[due].astype(np.int64) * self._users + pairs.receiver[due]
        messages, receivers = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        by_conversation = run.conversation[short]
        for one in np.unique(by_conversation).tolist():
            mine, members = short[by_conversation == one], run.members[one]
            for member in members.tolist():
                keys = mine.astype(np.int64) * self._users + member
                at = np.searchsorted(seen_keys, keys)
                has = np.zeros(len(keys), bool)
                inside = at < len(seen_keys)
                has[inside] = seen_keys[at[inside]] == keys[inside]
                messages.append(self._absent(mine[~has], one, member))
                receivers.append(np.full(len(messages[-1]), member, np.int32))
        return np.concatenate(messages), np.concatenate(receivers)

    def _absent(self, messages: Column, conversation: int, member: int) -> Column:
        """Which of these messages, which this member never received, are lost."""
        latest = self._run.latest.get((conversation, member))
        lost = np.zeros(len(messages), bool)
        if latest is not None:
            lost = latest[1] - self._run.answered_ns[messages] >= self._settle_ns
            if self._lateness is not None:
                lost &= self._lateness.is_ruled_out(messages, np.full(len(messages), latest[0], np.int64))
        self._counts["expected"][member] += len(messages)
        self._counts["lost"][member] += int(lost.sum())
        self._counts["unknown"][member] += int((~lost).sum())
        found: Column = messages[lost].astype(np.int32)
        return found

    def _is_member(self, conversation: Column, user: Column) -> Column:
        known = [
            np.full(len(members), number, np.int64) * self._users + members
            for number, members in enumerate(self._run.members)
        ]
        keys = np.concatenate(known) if known else np.zeros(0, np.int64)
        wanted = conversation.astype(np.int64) * self._users + user
        at = np.searchsorted(keys, wanted)
        found = np.zeros(len(wanted), bool)
        inside = at < len(keys)
        found[inside] = keys[at[inside]] == wanted[inside]
        return found

    def _count(self, name: str, which: Column) -> None:
        self._counts[name] += np.bincount(self._pairs.receiver[which], minlength=self._users)

    def _tallies(self) -> dict[str, DeliveryTally]:
        columns = {name: counts.tolist() for name, counts in self._counts.items()}
        every = (
            (user, DeliveryTally(**{name: counts[number] for name, counts in columns.items()}))
            for number, user in enumerate(self._run.users)
        )
        return dict(sorted((user, tally) for user, tally in every if tally != DeliveryTally()))


class _Reads:
    """The latest complete read-back by (conversation, user), with lookups for whole columns."""

    def __init__(self, run: RunData) -> None:
        self._users = max(len(run.users), 1)
        rows = sorted((conversation * self._users + user, *found) for (conversation, user), found in run.latest.items())
        table = np.array(rows, np.int64).reshape(-1, 5)
        self._keys = table[:, 0].copy()
        self._columns = [table[:, place].copy() for place in range(1, 5)]

    def of(self, conversation: Column, user: Column) -> tuple[Column, Column, Column, Column]:
        """(read, begun, begin seq, end seq) for each row; read is -1 where there is none."""
        keys = conversation.astype(np.int64) * self._users + user
        at = np.searchsorted(self._keys, keys)
        inside = np.flatnonzero(at < len(self._keys))
        inside = inside[self._keys[at[inside]] == keys[inside]]
        filled = []
        for column in self._columns:
            values = np.full(len(keys), -1, np.int64)
            values[inside] = column[at[inside]]
            filled.append(values)
        read, begun_ns, begin, end = filled
        return read, begun_ns, begin, end
