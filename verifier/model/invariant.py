"""The attributes of an invariant, severity and phase; and what a judge works with, rows and problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]
"""One record by the *logical* columns of its relation. Times are aware datetimes in UTC."""


class Severity(StrEnum):
    """How bad a breach is. `--fail-on C,H` limits exit code 1 to some severities."""

    CRITICAL = "C"
    HIGH = "H"
    MEDIUM = "M"
    INFO = "I"

    @property
    def label(self) -> str:
        """The word for display, such as `critical`."""
        return self.name.lower()


class Phase(StrEnum):
    """How far the move has come (docs/data-ownership.md). An invariant applies from its first phase on."""

    BASELINE = "baseline"
    REGISTERED = "registered"
    CUTOVER = "cutover"
    FROZEN = "frozen"
    DECOMMISSIONED = "decommissioned"

    @property
    def order(self) -> int:
        """0 for P0 to 4 for P4."""
        return list(Phase).index(self)

    @property
    def code(self) -> str:
        """The short name, P0 to P4."""
        return f"P{self.order}"

    def reached(self, other: Phase) -> bool:
        """Whether a stack in this phase has reached `other`."""
        return self.order >= other.order


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is wrong with one record. A proof turns it into a finding once it is confirmed.

    `summary` is one sentence, `expected` and `actual` are short phrases, and `next_step` says what to do. `key` identifies the
    record for display, by default by its key columns. Sensitive values never appear: judges name columns, not contents.
    """

    summary: str
    expected: str
    actual: str
    next_step: str = ""
    key: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
