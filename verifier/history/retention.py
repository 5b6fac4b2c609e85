"""What the history keeps and for how long: positions are thinned out as they age, old runs are deleted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from verifier.history.records import FindingState
from verifier.history.tables import FINDINGS, OUTCOMES, RUNS

KEEP_ALL = timedelta(hours=1)
KEEP_HOURLY = timedelta(days=2)
KEEP_DAILY = timedelta(days=400)
ALL_MAX = 500
KEEP_RUNS = 1000
"""Runs kept for each stack: with one run a night, nearly three years."""


def positions_to_drop(times: Iterable[datetime], now: datetime) -> set[datetime]:
    """The times of the positions that may be deleted.

    Kept are all positions of the last hour (at most `ALL_MAX`), the first of each hour for two days, the first of each
    day for 400 days, and always the newest. The first, because a position answers "which writes came after this
    moment": an earlier position covers more.
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


def prune(connection: Connection, stack: str, keep_runs: int = KEEP_RUNS) -> None:
    """Delete all but the newest runs, and the findings that had healed before the oldest kept run began."""
    mine = RUNS.c.stack == stack
    times = select(RUNS.c.started_at).where(mine).order_by(RUNS.c.started_at.desc())
    oldest = connection.execute(times.offset(keep_runs - 1).limit(1)).scalar_one_or_none()
    if oldest is None:
        return
    stale = select(RUNS.c.run_id).where(mine, RUNS.c.started_at < oldest)
    connection.execute(delete(OUTCOMES).where(OUTCOMES.c.stack == stack, OUTCOMES.c.run_id.in_(stale)))
    connection.execute(delete(RUNS).where(mine, RUNS.c.started_at < oldest))
    healed = FINDINGS.c.state == FindingState.HEALED.value
    connection.execute(delete(FINDINGS).where(FINDINGS.c.stack == stack, healed, FINDINGS.c.healed_at < oldest))
