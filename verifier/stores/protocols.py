"""What every store offers to the proofs.

A store makes *sources* (the records of one relation) and *observers* (was anything written to one object?). All of it only
reads: each statement, command or request passes the store's allow-list before it is sent.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from verifier.model.invariant import Row
from verifier.stores.budget import Budget
from verifier.stores.statement_log import StatementLog

MARK_BYTES = 5
"""Length of a mark, the beginning of a key's SHA-256. Among a million records, one new record in a million has the mark of a
known one and is taken for it."""


class Source(Protocol):
    """The records of one relation, read in chunks."""

    label: str
    """Name for messages: `users (user_db: public.users)`."""

    key: tuple[str, ...]
    """The logical columns that identify a record."""

    @property
    def queries(self) -> tuple[str, ...]:
        """The statements that are sent, for `explain` and for evidence."""

    def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All records, a bounded number at a time. A store that scans (Redis) may return a record twice."""

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records whose `column` has one of `values`, in any order. One batch: the caller bounds its size.

        A value that is not among the records has none. Raises PartialAnswer where the store did not answer for every value.
        """


@runtime_checkable
class OrderedSource(Source, Protocol):
    """A source with a lasting order (by key, not by cursor), so that an interrupted reading can be resumed."""

    @property
    def position(self) -> str | None:
        """Where the last returned chunk ended; None before the first chunk, and where its key has no text form."""

    def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """All records, or those after a position of an earlier reading."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a source knows about whether its reading returned every record.

    * `counted`: the number of records under the same conditions, by a statement of its own; None where the store cannot count.
    * `hidden`: mechanisms that were detected here and may hide records from this credential or connection, in words. A proof
      over such a source does not hold; it is inconclusive.
    * `unseen`: what such a reading never covers, in words; part of the coverage.
    """

    counted: int | None = None
    hidden: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@runtime_checkable
class Accountable(Protocol):
    """A source that can say whether its reading is complete."""

    async def completeness(self) -> Completeness:
        """Asked after a complete reading of `chunks`."""


@dataclass(frozen=True, slots=True)
class CounterSnapshot:
    """What an observer remembers of an object between two runs; `to_json` is its stored form.

    * `at`: the store's clock.
    * `continuity`: named tokens. While they are unchanged, a counter is the same counter as before.
    * `counters`: monotonic counts by operation (insert, update, delete, publish, …). A count that is missing is not available.
    * `position`: where the search for witnesses resumes.
    * `limitations`: what cannot be seen here, in words; part of the coverage.
    * `filled`: the parts of the object that hold records.
    * `inconclusive_because`: why this snapshot alone does not prove silence of an object that nobody else may write to; ""
      where it does.
    * `heartbeats`: counts that every activity of the server moves, the verifier's own included. They reveal a reset of all
      counters, because one of them then goes back.
    * `known`: the marks of all records that exist, where a census was taken (`Census`).
    """

    at: datetime
    continuity: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    position: str = ""
    limitations: tuple[str, ...] = ()
    filled: frozenset[str] = frozenset()
    inconclusive_because: str = ""
    heartbeats: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[bytes] | None = None

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for the history."""
        return {
            "at": self.at.isoformat(),
            "continuity": dict(self.continuity),
            "counters": dict(self.counters),
            "horizon": self.position,  # its name in stored histories
            "filled": sorted(self.filled),
            "heartbeats": dict(self.heartbeats),
            "known": None if self.known is None else b64encode(b"".join(sorted(self.known))).decode(),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> CounterSnapshot:
        """Inverse of `to_json`."""
        return cls(
            at=datetime.fromisoformat(raw["at"]),
            continuity=raw["continuity"],
            counters={name: int(count) for name, count in raw["counters"].items()},
            position=raw["horizon"],
            filled=frozenset(raw.get("filled", ())),
            heartbeats=raw.get("heartbeats", {}),
            known=None if raw.get("known") is None else split_marks(b64decode(raw["known"])),
        )


def split_marks(joined: bytes) -> frozenset[bytes]:
    """The marks in a concatenation of marks."""
    return frozenset(joined[at : at + MARK_BYTES] for at in range(0, len(joined), MARK_BYTES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """One write that an observer found: its operation, the record, how it is known and, where known, when it happened.

    `since_baseline`: the write is proven to be later than the baseline, by a transaction id or a change stream; False where
    only the record's own time column says so. `position`: the write's place in the store's order, for
    `Observer.written_after`. `mark`: the record's mark in a census, given where the observer cannot distinguish an insert
    from an update.
    """

    operation: str
    key: str
    row: Row
    how: str
    written_at: datetime | None = None
    position: int | None = None
    since_baseline: bool = True
    mark: bytes | None = None


class Observer(Protocol):
    """Finds writes to one object of a store."""

    label: str
    """Name for messages."""

    unseen: tuple[str, ...]
    """What this technique never sees, in words."""

    complete: bool = False
    """Whether the witnesses include every write, so that `unseen` does not apply."""

    limitations: tuple[str, ...] = ()
    """What the last call of `witnesses` could not decide, in words."""

    @property
    def queries(self) -> tuple[str, ...]:
        """The statements that are sent."""

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """The object's counters now. `settled`: wait until counts that the store delays have arrived, as a baseline needs
        it."""

    def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Every write between two snapshots that can still be found.

        Raises ContinuityLost where the store's records do not reach back to `before`.
        """

    def written_after(self, witness: Witness, position: str) -> bool:
        """Whether a write is later than a snapshot's `position`; False where this store cannot compare the two."""
        return False


@runtime_checkable
class Census(Protocol):
    """An observer whose witnesses do not show whether a record is new. It remembers which records existed before."""

    async def census(self, now: CounterSnapshot, before: CounterSnapshot | None) -> CounterSnapshot:
        """`now` with the marks of all records that it saw. `before`: the earlier snapshot whose continuity `now` keeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreObject:
    """One object of a store's inventory: a table, a column, a collection, a queue, a binding, …

    Two kinds say what an inventory lacks. `unreadable`: an object that exists and cannot be judged, so that the check is
    inconclusive. `limitation`: what such a credential never sees, which is part of the coverage.
    """

    kind: str
    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Privilege:
    """One thing that a credential can or cannot do. `state`: ok, guarded, notice, missing, too_many or unknown."""

    store: str
    what: str
    state: str
    detail: str = ""


class Store(Protocol):
    """The store behind one role of the profile."""

    role: str
    statement_log: StatementLog
    budget: Budget
    clock_grain_s: float
    """The resolution of its clock in seconds; 0 where it has fractions of a second."""

    async def connect(self) -> None:
        """Connect and identify the server. Raises StoreError."""

    async def close(self) -> None:
        """Close all connections. Never raises."""

    async def clock(self) -> datetime:
        """The store's own time."""

    async def privileges(self) -> Sequence[Privilege]:
        """What the credential may do."""

    async def version(self) -> str:
        """Product and version."""

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """The store's objects of one kind, for inventories. Raises ValueError for a kind that the store does not have."""
