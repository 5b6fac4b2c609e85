"""Clock skew between the stores of a stack, measured when each store is connected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations

from verifier.stores.errors import StoreError
from verifier.stores.protocols import Store

VERIFIER = "the verifier"
"""The clock of the machine that the verifier runs on. Times in the profile (`since`) count as its times."""
SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a clock is ahead of the verifier's, in seconds, and the uncertainty: half the quickest answer plus the
    clock's grain."""

    seconds: float
    uncertain_s: float


OWN = Offset(0.0, 0.0)


async def measure(store: Store) -> Offset | None:
    """The offset of a store's clock by the quickest of a few readings, which is the most precise. None where the clock
    cannot be read."""
    best: Offset | None = None
    for _ in range(SAMPLES):
        try:
            before = datetime.now(UTC)
            theirs = await store.clock()
            took_s = (datetime.now(UTC) - before).total_seconds()
        except StoreError:
            break
        ahead_s = (theirs - before).total_seconds() - took_s / 2
        found = Offset(ahead_s, took_s / 2 + store.clock_grain_s)
        if best is None or found.uncertain_s < best.uncertain_s:
            best = found
    return best


def apart(offsets: Mapping[str, Offset], clocks: Iterable[str], bound_s: float) -> str | None:
    """The clocks that differ by more than the bound in spite of their uncertainty, in words; None where there are none."""
    known = {name: OWN if name == VERIFIER else offsets[name] for name in clocks if name == VERIFIER or name in offsets}
    far = []
    for (one, a), (other, b) in combinations(sorted(known.items()), 2):
        skew_s = a.seconds - b.seconds
        if abs(skew_s) - a.uncertain_s - b.uncertain_s > bound_s:
            ahead, behind = (one, other) if skew_s > 0 else (other, one)
            far.append((abs(skew_s), f"{ahead} is {abs(skew_s):.1f} s ahead of {behind}"))
    if not far:
        return None
    return (
        f"{', '.join(text for _, text in sorted(far, reverse=True))} (at most {bound_s:g} s, timing.clock_skew_max_s)"
    )
