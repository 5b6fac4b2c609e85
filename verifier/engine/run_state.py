"""What the engine reads from earlier runs and what it commits: the engine's side of the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from verifier.model.verdict import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A check's outcome with its watermarks and positions, committed in one transaction.

    `reads`: the number of statements, commands and requests that the run has sent to each store so far.
    """

    outcome: Outcome
    watermarks: Mapping[str, Mapping[str, Any]]
    positions: Sequence[tuple[str, Any, str]]
    reads: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The first part of an interrupted run: when it started, its outcomes, and the reads of each store."""

    run_id: str
    started_at: datetime
    outcomes: Sequence[Outcome]
    reads: Mapping[str, int]
