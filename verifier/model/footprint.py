"""What a run has asked of each store: the numbers that a report shows and the audit log tells one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement, command or request in its normal form, without a value of the stack: what it came to in this run."""

    statement: str
    sent: int
    rows: int
    time_s: float
    slowest_s: float
    failed: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """One store's part: what was sent and what came back, how long the store worked for it, and how it was spared.

    `sent` counts the first part of a resumed run, too; all else is of the part that ended. `waited_s` is the time for which statements
    were held back by the budget, `rests` how often the store was left alone because it had become slow.
    """

    sent: int = 0
    refused: int = 0
    rows: int = 0
    time_s: float = 0.0
    in_flight_max: int = 0
    waited_s: float = 0.0
    rests: int = 0
    statements: tuple[Statement, ...] = field(default=(), repr=False)
