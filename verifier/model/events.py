"""What the engine says while it works. Terminal, reports, history, metrics and alerts are consumers of these alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from verifier.model.finding import Finding
from verifier.model.verdict import Outcome, RunResult


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """A run begins: on which stack, in which phase, with how many checks."""

    run_id: str
    stack: str
    phase: str
    at: datetime
    check_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckStarted:
    """A check left the queue."""

    check_id: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A check moved on: `done` of `total` (None = unknown) `unit`, or waits for the reason in `unit`."""

    check_id: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused:
    """The pause file is there: nothing new is asked of any store until it is gone."""

    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """The pause file is gone, after so long."""

    path: str
    after_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingFound:
    """A suspect was confirmed."""

    finding: Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckFinished:
    """A check has its verdict."""

    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished:
    """The run is over; also sent, with `interrupted` set, when it was cut short."""

    result: RunResult


Event = RunStarted | CheckStarted | Progress | Paused | Resumed | FindingFound | CheckFinished | RunFinished
