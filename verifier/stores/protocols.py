"""What every store offers to the proofs.

A store makes *sources* (the records of one relation) and *observers* (was anything written to one object?). All of it only
reads: each statement, command or request passes the store's allow-list before it is sent.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

from verifier.model.invariant import Row
from verifier.stores.budget import Budget
from verifier.stores.statement_log import StatementLog

MARK_BYTES = 5
"""Length of a mark, the beginning of a key's SHA-256. Among a million records, one new record in a million has the mark of a
known one and is taken for it."""
STATE_BYTES = 4
"""Length of the digest of a record's watched columns."""


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
class Surveyable(Protocol):
    """A source whose completeness is known only after it was read, although a proof may only look records up in it."""

    async def survey(self) -> None:
        """Read what `completeness` needs to know. Raises StoreError."""
        ...


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
    * `known`: the marks of all records of the relation, where a census was taken (`Census`).
    * `inside`: those of `known` whose conversation was in scope at that time; None where every record is.
    * `others`: the marks of the records that the object holds beside the relation, because of its `where`.
    * `states`: a digest of the watched columns by mark, where the relation names some.
    * `names`: the keys as text by mark, where the object is small enough to remember them.
    * `parts`: the identity and the counts of each part of the object (partitions, children), by name; empty where it has none.
    * `late`: how many writes were witnessed but not counted yet, by operation. Their counts come later.
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
    inside: frozenset[bytes] | None = None
    others: frozenset[bytes] = frozenset()
    states: Mapping[bytes, bytes] = field(default_factory=dict)
    names: Mapping[bytes, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    late: Mapping[str, int] = field(default_factory=dict)

    @property
    def marks(self) -> frozenset[bytes]:
        """The marks of all records that the object holds, those beside the relation included."""
        return (self.known or frozenset()) | self.others if self.others else self.known or frozenset()

    def has(self, mark: bytes | None) -> bool:
        """Whether `marks` contains this one. It makes no set of millions of marks for the question."""
        return mark is not None and (mark in self.others or (self.known is not None and mark in self.known))

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for the history."""
        return {
            "at": self.at.isoformat(),
            "continuity": dict(self.continuity),
            "counters": dict(self.counters),
            "horizon": self.position,  # its name in stored histories
            "filled": sorted(self.filled),
            "heartbeats": dict(self.heartbeats),
            "known": _joined(self.known),
            "inside": _joined(self.inside),
            "others": _joined(self.others),
            "states": b64encode(b"".join(mark + self.states[mark] for mark in sorted(self.states))).decode(),
            "names": {mark.hex(): name for mark, name in self.names.items()},
            "parts": dict(self.parts),
            "late": dict(self.late),
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
            known=_split(raw.get("known")),
            inside=_split(raw.get("inside")),
            others=_split(raw.get("others")) or frozenset(),
            states=_states(b64decode(raw.get("states", ""))),
            names={bytes.fromhex(mark): name for mark, name in raw.get("names", {}).items()},
            parts=raw.get("parts", {}),
            late=raw.get("late", {}),
        )


def split_marks(joined: bytes) -> frozenset[bytes]:
    """The marks in a concatenation of marks."""
    return frozenset(joined[at : at + MARK_BYTES] for at in range(0, len(joined), MARK_BYTES))


def mark_of(text: str) -> bytes:
    """The mark of a key."""
    return sha256(text.encode()).digest()[:MARK_BYTES]


def _joined(marks: frozenset[bytes] | None) -> str | None:
    return None if marks is None else b64encode(b"".join(sorted(marks))).decode()


def _split(text: str | None) -> frozenset[bytes] | None:
    return None if text is None else split_marks(b64decode(text))


def _states(joined: bytes) -> dict[bytes, bytes]:
    size = MARK_BYTES + STATE_BYTES
    return {joined[at : at + MARK_BYTES]: joined[at + MARK_BYTES : at + size] for at in range(0, len(joined), size)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """One write that an observer found: its operation, the record, how it is known and, where known, when it happened.

    `since_baseline`: the write is proven to be later than the baseline, by a transaction id or a change stream; False where
    only the record's own time column says so. `position`: the write's place in the store's order, for
    `Observer.written_after`. `mark`: the record's mark in a census, given where the observer cannot distinguish an insert
    from an update. `belongs`: whether the record belongs to the relation after the write; False where it does not pass the
    relation's `where`. `state`: a digest of the watched columns after the write. `touched`: the logical columns that the write
    changed, None where that is not known. `lost_values`: those of them whose earlier value is not known. `uncertain`: why it is not known whether this write counts, in words.
    """

    operation: str
    key: str
    row: Row
    how: str
    written_at: datetime | None = None
    position: int | None = None
    since_baseline: bool = True
    mark: bytes | None = None
    belongs: bool = True
    state: bytes | None = None
    touched: frozenset[str] | None = None
    lost_values: frozenset[str] = frozenset()
    uncertain: str = ""


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

    watched: tuple[str, ...] = ()
    """The logical columns whose change makes an update count; empty: every update counts. The proof sets it."""

    advice: str = ""
    """What the operator can do so that a write names its record's conversation; "" where nothing helps."""

    @property
    def queries(self) -> tuple[str, ...]:
        """The statements that are sent."""

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """The object's counters now. `settled`: wait until counts that the store delays have arrived, as a baseline needs
        it."""

    async def recommendation(self) -> str:
        """For `verifier doctor`: what would let every write be attributed, or "" if nothing is missing."""
        return ""

    def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Every write between two snapshots that can still be found.

        Raises ContinuityLost where the store's records do not reach back to `before`.
        """

    def written_after(self, witness: Witness, position: str) -> bool:
        """Whether a write is later than a snapshot's `position`; False where this store cannot compare the two."""
        return False


ScopeOf = Callable[[], Awaitable[Callable[[bytes], bool]]]
"""Reads the scope, and returns whether a conversation or group, given by the mark of its id, is in it now."""


@runtime_checkable
class Census(Protocol):
    """An observer whose witnesses do not show whether a record is new, or that do not show a record that is gone. It remembers
    which records existed before."""

    async def census(
        self,
        now: CounterSnapshot,
        before: CounterSnapshot | None,
        scoped_by: str | None = None,
        scope: ScopeOf | None = None,
    ) -> CounterSnapshot:
        """`now` with the marks of all records that it saw. `before`: the earlier snapshot whose continuity `now` keeps.

        With `scope`, `inside` tells which records were in scope by the id in column `scoped_by`.
        """

    def comparable(self, before: CounterSnapshot, now: CounterSnapshot) -> CounterSnapshot:
        """`before` as the same parts of the object had it that `now` has: parts that are gone are left out, new ones begin at
        zero."""


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
