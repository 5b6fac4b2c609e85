"""What every store offers to the proofs.

A store hands out *sources* (records of one relation) and *observers* (has anything been written there?). All of it reads;
each statement, command or request passes the store's allow-list before it reaches the network.
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


class Source(Protocol):
    """The records of one relation, read in chunks."""

    label: str
    """What a reader calls it: `users (user_db: public.users)`."""

    key: tuple[str, ...]

    @property
    def queries(self) -> tuple[str, ...]:
        """What would be sent, for `explain` and the evidence."""

    def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All records, a bounded number at a time. The same record may come twice where the store scans (Redis)."""

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records whose column has one of these values, in any order; one batch, the caller bounds it."""


@runtime_checkable
class OrderedSource(Source, Protocol):
    """A source with an order that lasts (a key, not a cursor): reading can go on where it was broken off."""

    @property
    def position(self) -> str | None:
        """Where the chunk that was handed out last ended; None before the first one, and where its key cannot be written down."""

    def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """All records, or those behind a position of an earlier reading."""


@dataclass(frozen=True, slots=True)
class CounterSnapshot:
    """What an observer remembers of an object from one look to the next; JSON-able through `to_json`.

    `continuity`: tokens that prove a counter is the same counter as last time. `counters`: monotonic counts by operation
    (insert, update, delete, publish …); a missing one is not available here. `horizon`: where the witness search resumes.
    `filled`: the parts of the object that hold records. `weak`: why this look alone proves no silence of an object that nobody
    else may write to, "" where it does. `heartbeats` count whatever the server does, our own looks included: they tell nothing but
    a reset of all counters, for then one of them goes back. `known`: the marks of all records that were there, where a census was
    taken (`Census`).
    """

    at: datetime
    continuity: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    position: str = ""
    blind: tuple[str, ...] = ()
    filled: frozenset[str] = frozenset()
    weak: str = ""
    heartbeats: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[bytes] | None = None

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for the history."""
        return {
            "at": self.at.isoformat(),
            "continuity": dict(self.continuity),
            "counters": dict(self.counters),
            "horizon": self.position,
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
            known=None if raw.get("known") is None else marks_of(b64decode(raw["known"])),
        )


MARK_BYTES = 5
"""So much of a key's SHA-256 is remembered: among a million records, one new one in a million is taken for one of them."""


def marks_of(joined: bytes) -> frozenset[bytes]:
    """Marks that were written one behind the other."""
    return frozenset(joined[at : at + MARK_BYTES] for at in range(0, len(joined), MARK_BYTES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """One write that was seen: which operation, on which record, how it is known and, where that can be told, when.

    `since_baseline` is proven (transaction horizon, stream); otherwise only the record's own time column speaks. `mark` is the record's
    in a census: where it is given, the observer cannot tell an insert from an update, and a census can.
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
    """Watches one object of a store for writes."""

    label: str
    unseen: tuple[str, ...]

    @property
    def queries(self) -> tuple[str, ...]:
        """What would be sent."""

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """Take a reading; `settled` waits until the store's counters have caught up (baselines)."""

    def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Every write that can still be seen between two readings."""


@runtime_checkable
class Census(Protocol):
    """An observer whose witnesses do not say whether a record is new; who was there before does."""

    async def census(self, now: CounterSnapshot, before: CounterSnapshot | None) -> CounterSnapshot:
        """`now`, with the marks of all records that it saw. `before` is the earlier reading that its continuity leads back to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreObject:
    """One object of a store's inventory: a table, a column, a collection, a queue, a binding …

    Two kinds are admissions: `unreadable` (known to be there, cannot be judged: inconclusive) and `blind` (what a credential of this
    kind never sees: said in the coverage).
    """

    kind: str
    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Privilege:
    """What `doctor` found a credential able to do: `state` is ok, missing, too_many or unknown."""

    store: str
    what: str
    state: str
    detail: str = ""


class Store(Protocol):
    """A connected role of the profile."""

    role: str
    statement_log: StatementLog
    budget: Budget
    clock_grain_s: float
    """How coarse its clock is: 0 where it tells parts of a second."""

    async def connect(self) -> None:
        """Connect and identify the server; raises StoreError."""

    async def close(self) -> None:
        """Give up all connections; never raises."""

    async def clock(self) -> datetime:
        """The store's own time."""

    async def privileges(self) -> Sequence[Privilege]:
        """What this credential may do here."""

    async def version(self) -> str:
        """Product and version."""

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """The store's objects of one kind, for inventories; each store names the kinds it knows."""
