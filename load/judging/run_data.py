"""A run's journals as arrays: one row for each message, one for each reception, tables for the rest.

Memory: about 75 bytes for a message and 45 for a reception, and one batch of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np

from load.journal.layout import NO_SEQ, Column

NONE: Final = -1
NEVER: Final = np.iinfo(np.int64).max


@dataclass(slots=True)
class Receptions:
    """Receptions, in the order of the files. `read` is NONE for a push, `connection` is NONE for a read-back."""

    message: Column
    receiver: Column
    seq: Column
    read: Column
    connection: Column
    at_ns: Column
    message_id: Column
    altered: Column

    def __len__(self) -> int:
        return len(self.message)


@dataclass
class RunData:
    """Everything that the judges compare. Messages are numbered from 0.

    Attributes:
        phase: of each message; 0 for one whose send is in no journal.
        latest: for (conversation, user), the complete read-back that began last: number, begin time, first and last seq.
        connections: (user, since, time of the last received frame) by number.
        marks: acknowledged read marks; rows of (conversation, user, time, seq).
        positions: read positions, with the same columns.
        unsure_marks: number of marks that were refused or not answered.
        unwritten: number of messages that were received and whose recorder was killed, or whose journal is missing.
    """

    users: list[str] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    members: list[Column] = field(default_factory=list)
    lane_user: Column = field(default_factory=lambda: np.empty(0, np.int32))
    lane_conversation: Column = field(default_factory=lambda: np.empty(0, np.int32))
    due_ns: Column = field(default_factory=lambda: np.empty(0, np.int64))
    begun_ns: Column = field(default_factory=lambda: np.empty(0, np.int64))
    answered_ns: Column = field(default_factory=lambda: np.empty(0, np.int64))
    phase: Column = field(default_factory=lambda: np.empty(0, np.uint8))
    lane: Column = field(default_factory=lambda: np.empty(0, np.int32))
    number: Column = field(default_factory=lambda: np.empty(0, np.uint64))
    received: Receptions = field(default_factory=lambda: no_receptions(0))
    latest: dict[tuple[int, int], tuple[int, int, int, int]] = field(default_factory=dict)
    connections: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    marks: Column = field(default_factory=lambda: np.empty((0, 4), np.int64))
    positions: Column = field(default_factory=lambda: np.empty((0, 4), np.int64))
    unsure_marks: int = 0
    failed_reads: int = 0
    unwritten: int = 0

    @property
    def conversation(self) -> Column:
        """The conversation of each message."""
        return self.lane_conversation[self.lane]

    # Computed once: several judges ask. The arrays are complete by then.

    @cached_property
    def first_seen_ns(self) -> Column:
        """When each message was first seen, by anybody; NEVER if it was not."""
        first_ns = np.full(len(self.phase), NEVER, np.int64)
        np.minimum.at(first_ns, self.received.message, self.received.at_ns)
        return first_ns

    @cached_property
    def last_progress_ns(self) -> int:
        """When a message of the run was last seen for the first time, by anybody; 0 if none was seen."""
        seen = (self.phase > 0) & (self.first_seen_ns != NEVER)
        return int(self.first_seen_ns[seen].max()) if seen.any() else 0

    @cached_property
    def readable_since_ns(self) -> Column:
        """The latest time at which each message became readable: when it, or a later one of its conversation, was first seen."""
        since_ns, received = self.first_seen_ns.copy(), self.received
        rows = np.flatnonzero((received.seq != NO_SEQ) & (self.phase[received.message] > 0))
        if not len(rows):
            return since_ns
        message, seq = received.message[rows], received.seq[rows]
        order = np.lexsort((-seq, self.conversation[message]))
        message = message[order]
        conversation = self.conversation[message]
        starts = np.flatnonzero(np.append(True, conversation[1:] != conversation[:-1]))
        for part in np.split(message, starts[1:]):
            since_ns[part] = np.minimum.accumulate(since_ns[part])
        return since_ns


def no_receptions(size: int) -> Receptions:
    """Uninitialised rows for this many receptions."""
    kinds: dict[str, Any] = {"message": "i4", "receiver": "i4", "seq": "i8", "read": "i4", "connection": "i4"}
    kinds |= {"at_ns": "i8", "message_id": "u8", "altered": "?"}
    return Receptions(**{name: np.empty(size, kind) for name, kind in kinds.items()})
