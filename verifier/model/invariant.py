"""The words that everything else is written in: severity, phase, rows, problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]
"""One record, keyed by the *logical* columns of its relation; times are aware datetimes in UTC."""


class Severity(StrEnum):
    """How bad a breach is; `--fail-on C,H` narrows exit code 1 to some of them."""

    CRITICAL = "C"
    HIGH = "H"
    MEDIUM = "M"
    INFO = "I"

    @property
    def label(self) -> str:
        """The word for people."""
        return self.name.lower()


class Phase(StrEnum):
    """Where the migration stands. An invariant applies from its first phase on."""

    BASELINE = "baseline"
    REGISTERED = "registered"
    CUTOVER = "cutover"
    FROZEN = "frozen"
    DECOMMISSIONED = "decommissioned"

    @property
    def order(self) -> int:
        """0 for P0 … 4 for P4."""
        return list(Phase).index(self)

    @property
    def code(self) -> str:
        """The short name that the catalogue uses: P0 … P4."""
        return f"P{self.order}"

    def reached(self, other: Phase) -> bool:
        """Whether a stack in this phase has reached `other`."""
        return self.order >= other.order


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What a judge says of one record that breaks its rule; the engine makes a finding of it after a second look.

    `expected` and `actual` are short phrases. Sensitive values never appear: judges name columns, not contents.
    """

    summary: str
    expected: str
    actual: str
    next_step: str = ""
    key: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
