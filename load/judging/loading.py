"""Reading journals into the arrays of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from load.journal.layout import INFO, OK, WORKER_SHIFT, Column, Events, Kind, marker_of
from load.journal.reader import ColumnReader
from load.judging.run_data import NONE, Receptions, RunData, no_receptions
from verifier.judges.journal import JournalError

_COUNT_MASK: Final = np.uint64((1 << WORKER_SHIFT) - 1)
_NEVER_NS: Final = np.iinfo(np.int64).max


def load_run(readers: Sequence[ColumnReader]) -> RunData:
    """Read the journals of one run, twice. Raises JournalError if two sends have one number."""
    return _Loading(readers).run()


class _Loading:
    def __init__(self, readers: Sequence[ColumnReader]) -> None:
        self._readers = readers
        self._run = RunData()
        self._users: dict[str, int] = {}
        self._conversations: dict[str, int] = {}
        self._counts: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._killed: set[int] = set()
        self._filled = self._total = 0
        self._unsent: dict[int, int] = {}
        self.marks: list[Column] = []
        self.positions: list[Column] = []
        self.next_connection = self.next_read = 0

    def run(self) -> RunData:
        """Count, allocate, fill."""
        run, receptions = self._run, 0
        for reader in self._readers:
            newest = self._counts.get(reader.worker, 0)
            for batch in reader.batches():
                kind = batch["kind"]
                sent = batch["number"][kind == Kind.SEND]
                newest = max(newest, int((sent & _COUNT_MASK).max(initial=0)))
                receptions += int(((kind == Kind.PUSHED) | (kind == Kind.PULLED)).sum())
            self._counts[reader.worker] = newest
            if not reader.ended:
                self._killed.add(reader.worker)
        total = 0
        for worker, newest in self._counts.items():
            self._first[worker] = total
            total += newest
        # NONE refers to the last row, which belongs to no message.
        run.begun_ns, run.answered_ns = np.zeros(total + 1, np.int64), np.zeros(total + 1, np.int64)
        run.due_ns = np.zeros(total + 1, np.int64)
        run.phase, run.lane = np.zeros(total + 1, np.uint8), np.zeros(total + 1, np.int32)
        run.number = np.zeros(total + 1, np.uint64)
        self._total = total
        for worker, first in self._first.items():
            count = self._counts[worker]
            run.number[first : first + count] = np.arange(1, count + 1, dtype=np.uint64) | np.uint64(
                worker << WORKER_SHIFT
            )
        run.received = no_receptions(receptions)
        for reader in self._readers:
            self._read(reader)
        run.marks, run.positions = (
            np.concatenate([run.marks, *self.marks]),
            np.concatenate([run.positions, *self.positions]),
        )
        run.received = Receptions(
            **{name: getattr(run.received, name)[: self._filled] for name in Receptions.__slots__}
        )
        self._add_unsent()
        return run

    def _add_unsent(self) -> None:
        run = self._run
        unsent = np.array(list(self._unsent), np.uint64)
        run.number = np.concatenate([run.number[:-1], unsent])
        for name in ("due_ns", "begun_ns", "answered_ns", "phase", "lane"):
            column = getattr(run, name)[:-1]
            setattr(run, name, np.concatenate([column, np.zeros(len(unsent), column.dtype)]))
        if not len(run.lane_user):
            # Rows of messages that were never sent refer to a lane, too.
            run.lane_user = run.lane_conversation = np.zeros(1, np.int32)

    def _read(self, reader: ColumnReader) -> None:
        shift_ns = reader.wall_shift_ns if len(self._readers) > 1 else 0
        part = _Part(self, reader, shift_ns)
        for batch in reader.batches():
            part.take(batch)
        part.finish()

    def user(self, user_id: str) -> int:
        """The run's number of a user of a journal."""
        if user_id not in self._users:
            self._users[user_id] = len(self._run.users)
            self._run.users.append(user_id)
        return self._users[user_id]

    def conversation(self, conversation_id: str, members: Sequence[str]) -> int:
        """The run's number of a conversation; the journal with the most members is right."""
        numbers = np.array(sorted({self.user(member) for member in members}), np.int32)
        known = self._conversations.get(conversation_id)
        if known is None:
            known = self._conversations[conversation_id] = len(self._run.conversations)
            self._run.conversations.append(conversation_id)
            self._run.members.append(numbers)
        elif len(numbers) > len(self._run.members[known]):
            self._run.members[known] = numbers
        return known

    def messages(self, numbers: Column) -> Column:
        """The run's index of each message number; NONE for one that is in no journal."""
        worker = (numbers >> np.uint64(WORKER_SHIFT)).astype(np.int64)
        count = (numbers & _COUNT_MASK).astype(np.int64)
        found = np.full(len(numbers), NONE, np.int32)
        for name in np.unique(worker).tolist():
            mine = worker == name
            if name in self._first:
                known = mine & (count >= 1) & (count <= self._counts[name])
                found[known] = self._first[name] + count[known] - 1
        return found

    def maybe_sent(self, numbers: Column) -> Column:
        """Which of these unknown messages may have been sent by a recorder that was killed or whose journal is missing."""
        worker = (numbers >> np.uint64(WORKER_SHIFT)).astype(np.int64)
        here = np.array(sorted(set(self._counts) - self._killed), np.int64)
        return ~np.isin(worker, here)

    def unsent_rows(self, numbers: Column) -> list[int]:
        """Rows for messages that were received and never sent."""
        rows = self._unsent
        return [rows.setdefault(number, self._total + len(rows)) for number in numbers.tolist()]

    def place(self, size: int) -> slice:
        """The next rows, for this many receptions."""
        self._filled += size
        return slice(self._filled - size, self._filled)

    @property
    def result(self) -> RunData:
        """The arrays under construction."""
        return self._run


class _Part:
    """Fills one journal into the arrays."""

    def __init__(self, loading: _Loading, reader: ColumnReader, shift_ns: int) -> None:
        self._loading, self._reader, self._shift_ns = loading, reader, shift_ns
        self._users: list[int] = []
        self._conversations: list[int] = []
        self._connection_user = np.empty(0, np.int32)
        self._read_user: dict[int, int] = {}
        self._open_reads: dict[int, tuple[int, int, int]] = {}
        self._lanes_before = len(loading.result.lane_user)
        self._base, self._read_base = loading.next_connection, loading.next_read

    def take(self, batch: Events) -> None:
        """Fill one batch."""
        self._learn_names()
        kind = batch["kind"]
        self._take_sends(batch[kind == Kind.SEND], batch[kind == Kind.ACK])
        self._take_connections(batch[(kind == Kind.CONNECTED) | (kind == Kind.ENDED)])
        self._take_reads(batch[(kind == Kind.READ) | (kind == Kind.READ_END)])
        self._take_receptions(batch[(kind == Kind.PUSHED) | (kind == Kind.PULLED)])
        self._take_marks(batch[kind == Kind.MARKED], batch[kind == Kind.POSITION])

    def finish(self) -> None:
        """Number the next journal's connections and reads after this one's."""
        self._learn_names()
        self._loading.next_connection += len(self._connection_user)
        self._loading.next_read += max(self._read_user, default=-1) + 1

    def _learn_names(self) -> None:
        names, run = self._reader.names, self._loading.result
        self._users += [self._loading.user(name) for name in names.users[len(self._users) :]]
        for at in range(len(self._conversations), len(names.conversations)):
            members = [names.users[member] for member in names.members[at]]
            self._conversations.append(self._loading.conversation(names.conversations[at], members))
        new = names.lanes[len(run.lane_user) - self._lanes_before :]
        if new:
            users = np.array([self._users[user] for user, _ in new], np.int32)
            conversations = np.array([self._conversations[conversation] for _, conversation in new], np.int32)
            run.lane_user = np.concatenate([run.lane_user, users])
            run.lane_conversation = np.concatenate([run.lane_conversation, conversations])

    def _take_sends(self, sends: Events, acks: Events) -> None:
        run = self._loading.result
        at = self._loading.messages(sends["number"])
        if len(np.unique(at)) < len(at) or run.phase[at].any():
            twice = at[run.phase[at] > 0] if run.phase[at].any() else at
            raise JournalError(
                f"the marker {marker_of(int(run.number[twice[0]]))!r} belongs to two sends in {self._reader.path}. "
                "Every send needs its own marker."
            )
        run.begun_ns[at] = sends["at_ns"] + self._shift_ns
        run.due_ns[at] = sends["a"] + self._shift_ns
        run.lane[at] = sends["who"].astype(np.int32) + self._lanes_before
        run.phase[at] = INFO
        # Of two answers the first counts: it is written last.
        first = acks[::-1]
        at = self._loading.messages(first["number"])
        open_ = (at != NONE) & (run.phase[at] == INFO) & (run.answered_ns[at] == 0)
        at, first = at[open_], first[open_]
        run.answered_ns[at] = first["at_ns"] + self._shift_ns
        run.phase[at] = first["phase"]

    def _take_connections(self, events: Events) -> None:
        connections = self._loading.result.connections
        for kind, _, _, who, number, at_ns, received_ns, _ in events.tolist():
            at, user = self._base + who, self._users[number]
            if kind == Kind.CONNECTED:
                connections[at] = user, at_ns + self._shift_ns, _NEVER_NS
                if who >= len(self._connection_user):
                    grown = np.full(max(16, 2 * who + 2), NONE, np.int32)
                    grown[: len(self._connection_user)] = self._connection_user
                    self._connection_user = grown
                self._connection_user[who] = user
            elif at in connections:
                connections[at] = user, connections[at][1], received_ns + self._shift_ns

    def _take_reads(self, events: Events) -> None:
        run = self._loading.result
        for kind, phase, code, who, number, at_ns, a, b in events.tolist():
            if kind == Kind.READ:
                self._read_user[number] = self._users[who]
                self._open_reads[number] = self._conversations[a], self._users[who], at_ns + self._shift_ns
                continue
            opened = self._open_reads.pop(number, None)
            if opened is None:
                continue
            if phase != 1:
                run.failed_reads += 1
            elif code:
                conversation, user, begun_ns = opened
                before = run.latest.get((conversation, user))
                if before is None or before[1] <= begun_ns:
                    run.latest[conversation, user] = self._read_base + number, begun_ns, a, b

    def _take_marks(self, marks: Events, positions: Events) -> None:
        if len(marks):
            acked = marks[marks["phase"] == OK]
            self._loading.result.unsure_marks += len(marks) - len(acked)
            self._loading.marks.append(self._marks_of(acked))
        if len(positions):
            self._loading.positions.append(self._marks_of(positions))

    def _marks_of(self, events: Events) -> Column:
        conversations = np.array(self._conversations, np.int64)[events["number"].astype(np.int64)]
        users = np.array(self._users, np.int64)[events["who"]]
        return np.column_stack([conversations, users, events["at_ns"] + self._shift_ns, events["a"]])

    def _take_receptions(self, rows: Events) -> None:
        run = self._loading.result
        message = self._loading.messages(rows["number"])
        # A recorder that was killed may have sent messages that are not in its journal.
        unwritten = ((message == NONE) | (run.phase[message] == 0)) & self._loading.maybe_sent(rows["number"])
        if unwritten.any():
            run.unwritten += len(np.unique(rows["number"][unwritten]))
            rows, message = rows[~unwritten], message[~unwritten]
        unsent = message == NONE
        if unsent.any():
            message[unsent] = self._loading.unsent_rows(rows["number"][unsent])
        at, received = self._loading.place(len(rows)), run.received
        pushed = rows["kind"] == Kind.PUSHED
        who = rows["who"].astype(np.int32)
        received.message[at] = message
        received.seq[at], received.at_ns[at] = rows["a"], rows["at_ns"] + self._shift_ns
        received.message_id[at], received.altered[at] = rows["b"], rows["code"] > 0
        received.connection[at] = np.where(pushed, who + self._base, NONE)
        received.read[at] = np.where(pushed, NONE, who + self._read_base)
        received.receiver[at] = self._receivers(pushed, who)

    def _receivers(self, pushed: Column, who: Column) -> Column:
        found = np.full(len(who), NONE, np.int32)
        if pushed.any():
            found[pushed] = self._connection_user[who[pushed]]
        pulled = who[~pushed]
        if len(pulled):
            reads, at = np.unique(pulled, return_inverse=True)
            found[~pushed] = np.array([self._read_user[read] for read in reads.tolist()], np.int32)[at]
        return found
