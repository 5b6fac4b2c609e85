"""Compares two snapshots of an object: is it the same counter, how far did it move, how much time passed?"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from verifier.stores.protocols import CounterSnapshot


def broken(before: CounterSnapshot, now: CounterSnapshot, *, but: Collection[str] = ()) -> list[str]:
    """Where continuity is broken, in words. Continuity tokens named in `but` are ignored."""
    changed = [
        name for name, value in before.continuity.items() if name not in but and now.continuity.get(name) != value
    ]
    if before.counters and not now.counters:
        changed.append("counters are gone")
    changed += [
        f"counter {name} went back" for name, count in before.counters.items() if now.counters.get(name, count) < count
    ]
    back = [name for name, count in before.heartbeats.items() if now.heartbeats.get(name, 0) < count]
    if before.counters and now.counters and back:
        changed.append(f"the count of {min(back)} went back")
    moved = any(now.counters.get(name, 0) != count for name, count in before.counters.items())
    if changed == ["storage"] and before.counters and not moved:
        return []  # the table was rewritten (VACUUM FULL, ALTER TYPE): its counters still prove silence
    return [f"{name} changed" if name in before.continuity else name for name in changed]


def moved_counts(before: CounterSnapshot | None, now: CounterSnapshot) -> dict[str, int]:
    """By how much each counter moved; counters that did not move are left out."""
    if before is None:
        return {}
    return {name: delta for name, count in now.counters.items() if (delta := count - before.counters.get(name, count))}


def counts_text(moved: dict[str, int]) -> str:
    """`insert +1, delete +1`."""
    return ", ".join(f"{name} {count:+d}" for name, count in moved.items()) or "unmoved"


def span_text(span: timedelta) -> str:
    """A time span in its largest unit: `2.5 h`, `40 s`."""
    seconds = span.total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
