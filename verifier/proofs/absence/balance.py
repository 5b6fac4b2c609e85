"""Balances a server's counters with the records that explain them: what is left was written and is gone again, or was rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from verifier.proofs.absence.memory import moved_counts
from verifier.stores.protocols import CounterSnapshot


@dataclass(frozen=True, slots=True)
class Balance:
    """The counts that no record explains.

    A record that appeared explains one insert, one that is gone one delete, one that changed one update. `inserts`, `updates` and
    `deletes` are what is left. `replaced` records were deleted and inserted again under the same key at least.
    `late` is how many records were seen whose counts have not come yet.
    """

    inserts: int
    updates: int
    deletes: int
    replaced: int
    late: Mapping[str, int]

    @classmethod
    def of(cls, before: CounterSnapshot | None, now: CounterSnapshot, changed: int) -> Self | None:
        """The balance since `before`; None without counters and a census at both ends. `changed`: records with a new version."""
        if before is None or before.known is None or now.known is None or "insert" not in now.counters:
            return None
        if "insert" not in before.counters:
            return None
        moved = moved_counts(before, now)
        then, present = before.marks, now.marks
        appeared, gone = len(present - then), len(then - present)
        if before.continuity.get("storage") != now.continuity.get("storage") or before.parts.keys() - now.parts.keys():
            gone = (
                0  # TRUNCATE and DETACH PARTITION remove records without counting them, so that they explain no delete
            )
        inserts, deletes = moved.get("insert", 0), moved.get("delete", 0)
        updates = moved.get("update", 0)
        late = {"insert": max(0, appeared - inserts), "delete": max(0, gone - deletes)}
        return cls(
            inserts=max(0, inserts - appeared - before.late.get("insert", 0)),
            updates=max(0, updates - changed),
            deletes=max(0, deletes - gone - before.late.get("delete", 0)),
            replaced=max(0, changed - updates),
            late={name: count for name, count in late.items() if count},
        )

    @property
    def pairs(self) -> int:
        """How many records were inserted and deleted since: as many as both counts allow."""
        return min(self.inserts, self.deletes)

    def unexplained_pairs(self, changed_outside: int) -> int:
        """The pairs that replacing records outside the scope does not explain."""
        return max(0, self.pairs - min(self.replaced, changed_outside))
