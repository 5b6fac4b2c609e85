"""How long horizons are kept: all of the last hour, one an hour for two days, one a day for a year."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

KEEP_ALL = timedelta(hours=1)
KEEP_HOURLY = timedelta(days=2)
KEEP_DAILY = timedelta(days=400)
ALL_MAX = 500


def superfluous(times: Iterable[datetime], now: datetime) -> set[datetime]:
    """The entries that may go. Of each hour or day the first is kept, and the newest entry always.

    The first, since a horizon answers "which writes came after this moment": an earlier one covers more.
    """
    ordered = sorted(times)
    if not ordered:
        return set()
    recent = [at for at in ordered if now - at <= KEEP_ALL]
    kept = {ordered[-1], *recent[-ALL_MAX:]}
    buckets: set[str] = set()
    for at in ordered:
        age = now - at
        if age > KEEP_DAILY or at in kept:
            continue
        bucket = f"{at:%Y-%m-%d %H}" if age <= KEEP_HOURLY else f"{at:%Y-%m-%d}"
        if bucket not in buckets:
            buckets.add(bucket)
            kept.add(at)
    return set(ordered) - kept
