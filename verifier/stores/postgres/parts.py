"""The parts of a table: itself, its partitions, its INHERITS children. Each has its own counters and its own file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from verifier.stores.protocols import CounterSnapshot, Witness

_STANDBY = "this server is a standby, whose table counters do not move; the role's URL must point to the primary"
SELECT_REASON = (
    "it is mapped by a select, which has no counters and no transaction marks; `watches` of the relation may name the tables that it "
    "reads"
)
_OFF_FOR_SOME = "track_counts is off for a role or a database (pg_db_role_setting), so that its writes are not counted"
_OFF = "track_counts is off, so that writes are not counted; switch it on"
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
    if not before.parts:
        return before
    then, today = _parts(before), _parts(now)
    common = [then[oid] for oid in today if oid in then]
    continuity = dict(before.continuity)
    if before.counters and now.counters and any(_went_back(part, today[part.oid]) for part in common):
        # The sum over all parts may hide it.
        continuity["the counters of a part"] = "higher than now"
    if then.keys() != today.keys():
        kept = all(part.file == today[part.oid].file for part in common)
        continuity["storage"] = now.continuity["storage"] if kept else f"{before.continuity['storage']} of other parts"
    counts = counted(common) if common and before.counters else dict.fromkeys(before.counters, 0)
    return replace(before, counters=counts, continuity=continuity, filled=before.filled & now.parts.keys())


def _went_back(then: Part, today: Part) -> bool:
    return any(count > later for count, later in zip(then.counts, today.counts, strict=True))


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


def why_uncounted(parts: Sequence[Part], row: Mapping[str, Any]) -> str:
    """Why the server's counters do not count every write, or ""."""
    if any(part.kind not in ("r", "p") for part in parts):
        if len(parts) > 1:
            return "a part of it is a foreign table, which has no counters and no transaction marks"
        return (
            "it is a view or a foreign table, which has no counters and no transaction marks; `watches` of the relation may name "
            "the tables that a view reads"
        )
    if row["standby"]:
        return _STANDBY
    if row["track_counts"] != "on":
        return _OFF
    if row["uncounted"]:
        return _OFF_FOR_SOME
    return ""
