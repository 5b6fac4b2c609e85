"""The parts of a table: itself, its partitions, its INHERITS children. Each has its own counters and its own file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from verifier.stores.protocols import CounterSnapshot, Witness

_OPERATIONS = ("insert", "update", "delete")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its OID, its file, its counts of inserts, updates and deletes, and its kind as in `pg_class.relkind`."""

    oid: str
    file: str
    counts: tuple[int, int, int]
    kind: str = "r"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the words of the observer's query."""
        oid, file, inserts, updates, deletes, kind = text.split()
        return cls(oid, file, (int(inserts), int(updates), int(deletes)), kind)

    @property
    def text(self) -> str:
        """The part in a snapshot: file and counts."""
        return " ".join((self.file, *map(str, self.counts)))


def _parts(snapshot: CounterSnapshot) -> dict[str, Part]:
    return {oid: Part.parse(f"{oid} {text} r") for oid, text in snapshot.parts.items()}


def counted(parts: Iterable[Part]) -> dict[str, int]:
    """The sums over all parts."""
    sums = zip(*(part.counts for part in parts), strict=True)
    return dict(zip(_OPERATIONS, map(sum, sums), strict=True))


def comparable(before: CounterSnapshot, now: CounterSnapshot) -> CounterSnapshot:
    """`before` as the parts of `now` had it. The counts of a new partition begin at zero; those of a detached one are gone.

    A file that a common part keeps is no rewrite, whatever other parts there are.
    """
    if not before.parts or before.parts.keys() == now.parts.keys():
        return before
    then, today = _parts(before), _parts(now)
    common = [then[oid] for oid in today if oid in then]
    kept = all(part.file == today[part.oid].file for part in common)
    storage = now.continuity["storage"] if kept else f"{before.continuity['storage']} of other parts"
    return replace(
        before,
        counters=counted(common) if common and before.counters else dict.fromkeys(before.counters, 0),
        continuity={**before.continuity, "storage": storage},
        filled=before.filled & now.parts.keys(),
    )


def truncated(before: CounterSnapshot, now: CounterSnapshot) -> list[Witness]:
    """A witness for each part that has a new file and no rows any more without a counted delete: VACUUM FULL keeps rows."""
    then, today = _parts(before), _parts(now)
    emptied = [
        oid
        for oid in sorted(before.filled - now.filled)
        if oid in then
        and oid in today
        and then[oid].file != today[oid].file
        and then[oid].counts[2] == today[oid].counts[2]
    ]
    how = "it held rows, has a new file without them, and no delete was counted"
    return [Witness(operation="truncate", key=f"TRUNCATE of {oid}", row={}, how=how) for oid in emptied]
