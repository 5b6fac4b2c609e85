"""What a run takes from earlier ones, and what it leaves behind: the engine's side of the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from verifier.model.verdict import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A check's outcome together with what is to be remembered: committed in one transaction, or not at all.

    `reads`: what the run has sent to each store until now.
    """

    outcome: Outcome
    watermarks: Mapping[str, Mapping[str, Any]]
    positions: Sequence[tuple[str, Any, str]]
    reads: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The first part of a run that was cut short: when it began, what it judged, what it sent to each store."""

    run_id: str
    started_at: datetime
    outcomes: Sequence[Outcome]
    reads: Mapping[str, int]
