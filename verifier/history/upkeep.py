"""Writing what is remembered, within a transaction, and letting go of what is old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from verifier.history.positions import superfluous
from verifier.history.records import FindingState
from verifier.history.tables import FINDINGS, OUTCOMES, POSITIONS, RUNS, WATERMARKS

KEEP_RUNS = 1000
"""Older runs go, with the findings that had healed before the oldest kept one began: three years of nights."""


def put_watermark(
    connection: Connection, stack: str, check_id: str, slot: str, value: Mapping[str, Any], at: datetime
) -> None:
    """Replace what a check remembers of one object."""
    columns = WATERMARKS.c
    connection.execute(
        delete(WATERMARKS).where(columns.stack == stack, columns.check_id == check_id, columns.slot == slot)
    )
    connection.execute(
        insert(WATERMARKS).values(stack=stack, check_id=check_id, slot=slot, taken_at=at, value=dict(value))
    )


def put_position(connection: Connection, stack: str, slot: str, at: datetime, value: str) -> None:
    """Add one entry to an object's log and thin out the old ones."""
    mine = (POSITIONS.c.stack == stack, POSITIONS.c.slot == slot)
    connection.execute(delete(POSITIONS).where(*mine, POSITIONS.c.at == at))
    connection.execute(insert(POSITIONS).values(stack=stack, slot=slot, at=at, value=value))
    times = connection.execute(select(POSITIONS.c.at).where(*mine)).scalars().all()
    for old in superfluous(times, max(times)):
        connection.execute(delete(POSITIONS).where(*mine, POSITIONS.c.at == old))


def prune(connection: Connection, stack: str, keep_runs: int = KEEP_RUNS) -> None:
    """Drop all but the newest runs."""
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
