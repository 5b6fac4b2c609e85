"""What a run sent to each store. Reports show the totals, and the audit log each statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement, command or request in normal form, without values of the stack, and its totals in this run.

    `time_s` and `slowest_s` are in seconds.
    """

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
    """What was sent to one store, what it returned, and how the budget limited it.

    `sent` includes the first part of a resumed run; the other numbers are of the last part only. `time_s` is the time that the
    store took. `waited_s` is how long the budget delayed statements. `rests` is how often the verifier backed off from the
    store because it was slow; reports keep this name in their format.
    """

    sent: int = 0
    refused: int = 0
    rows: int = 0
    time_s: float = 0.0
    in_flight_max: int = 0
    waited_s: float = 0.0
    rests: int = 0
    statements: tuple[Statement, ...] = field(default=(), repr=False)
