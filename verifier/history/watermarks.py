"""Watermarks and positions: what a check remembers of one object (table, key pattern, queue) for the next run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from verifier.history.retention import positions_to_drop
from verifier.history.tables import POSITIONS, WATERMARKS


def put_watermark(
    connection: Connection, stack: str, check_id: str, slot: str, value: Mapping[str, Any], at: datetime
) -> None:
    """Replace the watermark of one check and object."""
    columns = WATERMARKS.c
    connection.execute(
        delete(WATERMARKS).where(columns.stack == stack, columns.check_id == check_id, columns.slot == slot)
    )
    connection.execute(
        insert(WATERMARKS).values(stack=stack, check_id=check_id, slot=slot, taken_at=at, value=dict(value))
    )


def put_position(connection: Connection, stack: str, slot: str, at: datetime, value: str) -> None:
    """Add a position of one object, and drop old positions that are no longer needed."""
    mine = (POSITIONS.c.stack == stack, POSITIONS.c.slot == slot)
    connection.execute(delete(POSITIONS).where(*mine, POSITIONS.c.at == at))
    connection.execute(insert(POSITIONS).values(stack=stack, slot=slot, at=at, value=value))
    times = connection.execute(select(POSITIONS.c.at).where(*mine)).scalars().all()
    for old in positions_to_drop(times, max(times)):
        connection.execute(delete(POSITIONS).where(*mine, POSITIONS.c.at == old))
