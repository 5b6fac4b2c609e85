"""Whether a reading returned every record: what sources say of themselves, and the number that was read beside a count.

Writes go on while a relation is read, so two numbers that differ prove nothing by themselves. A relation that is read quickly is
read again, between two counts. Of one that is read slowly, the change of its counts shows how much may have moved.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from verifier.model.invariant import Row
from verifier.proofs.matching import key_text
from verifier.stores.errors import StoreError
from verifier.stores.pool import Stores
from verifier.stores.protocols import Accountable, Completeness, OrderedSource, Source, Surveyable

READINGS_MAX = 3
QUICK_S = 10.0
"""A relation that is read within this time is read again to explain a shortfall."""
SMALL_ROWS = 50_000
"""The same for a resumed reading, whose whole time is not known."""
DISTINCT_MAX = 4_000_000
"""Of an unordered source with more records, those that it returned twice are not recognised (32 MB)."""
_PARTS = 64


async def account_of(source: Source) -> Completeness:
    """What a source says about its completeness. One that cannot tell because its store fails may hide records."""
    if not isinstance(source, Accountable):
        return Completeness()
    try:
        return await source.completeness()
    except StoreError as error:
        return Completeness(hidden=(f"it cannot be told whether records are hidden: {error}",))


class Tally:
    """Counts the records of one reading; of a source without an order, a record that was returned twice counts once."""

    def __init__(self, source: Source) -> None:
        self._key = source.key
        by_number = isinstance(source, OrderedSource) or getattr(source, "repeats_keys", False)
        self._hashes = None if by_number else [array("q") for _ in range(_PARTS)]
        self.rows = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Count a chunk."""
        for row in rows:
            self.rows += 1
            if self._hashes is None:
                continue
            number = hash(tuple(key_text(row[name]) for name in self._key))
            self._hashes[number % _PARTS].append(number)
        if self.rows > DISTINCT_MAX:
            self._hashes = None

    @property
    def distinct(self) -> int:
        """How many records there were."""
        return self.rows if self._hashes is None else sum(len(set(part)) for part in self._hashes)


@dataclass(slots=True)
class Whole:
    """Compares one reading with what its source says. `unit` names the records, `resumed` says that an earlier run read a
    part."""

    source: Source
    unit: str
    resumed: bool = False
    hidden: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    shortfall: str = ""
    _before: int | None = None
    _began_s: float = field(default_factory=time.monotonic)

    async def begin(self) -> None:
        """Count before the reading."""
        if not self.resumed:
            self._before = (await account_of(self.source)).counted
        self._began_s = time.monotonic()

    async def conclude(self, read: int | None) -> None:
        """Ask the source after the reading. `read`: the number of records; None where not all of them were wanted."""
        account = await account_of(self.source)
        self.hidden, self.unseen = account.hidden, account.unseen
        if read is None or account.counted is None:
            return
        counts = [account.counted] if self._before is None else [self._before, account.counted]
        counted = min(counts)
        if read >= counted:
            return
        if read <= SMALL_ROWS if self.resumed else time.monotonic() - self._began_s <= QUICK_S:
            for _ in range(READINGS_MAX - 1):
                again = await self._read_again()
                if again is None:  # it cannot be counted any more: the first difference stands
                    break
                read, counted = again
                if read >= counted:
                    return
        elif self.resumed:
            self.unseen += ("records that came or went behind the interrupted reading",)
            return
        else:
            later = (await account_of(self.source)).counted
            counts += [] if later is None else [later]
            counted = min(counts)
            if (fewer := counted - read) <= 3 * (max(counts) - counted):
                self.unseen += (f"{fewer} records that came or went while {self.source.label} was read",)
                return
        self.shortfall = (
            f"read {_number(read)} of {_number(counted)} {self.unit} of {self.source.label}: the others are hidden from this "
            "credential or connection, or the reading skipped them. Compare a count with the verifier's credential and one with "
            "the owner's"
        )

    async def _read_again(self) -> tuple[int, int] | None:
        """The number of records of another reading, and the smaller of the counts before and after it; None without counts."""
        before, tally = (await account_of(self.source)).counted, Tally(self.source)
        async for chunk in self.source.chunks():
            tally.add(chunk)
        after = (await account_of(self.source)).counted
        counts = [count for count in (before, after) if count is not None]
        return (tally.distinct, min(counts)) if counts else None

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the reading may lack records, in words; empty where it is known or taken to be whole."""
        hidden = tuple(f"{self.source.label}: {what}" for what in self.hidden)
        return (*hidden, self.shortfall) if self.shortfall else hidden


async def partner_account(stores: Stores, source: Source) -> Completeness:
    """What look-ups in a source may miss. It is asked once in a run, because the answer may take a count."""
    if source.label not in stores.accounts:
        stores.accounts[source.label] = await _surveyed(source)
    return stores.accounts[source.label]


def _number(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


async def _surveyed(source: Source) -> Completeness:
    try:
        if isinstance(source, Surveyable):
            await source.survey()
    except StoreError as error:
        return Completeness(hidden=(f"it cannot be told whether records are hidden: {error}",))
    return await account_of(source)
