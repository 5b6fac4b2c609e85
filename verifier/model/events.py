"""The events of a run. Terminal, reports, history, metrics and alerts consume nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from verifier.model.finding import Finding
from verifier.model.verdict import Outcome, RunResult


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """A run begins: its stack, its phase and its checks."""

    run_id: str
    stack: str
    phase: str
    at: datetime
    check_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckStarted:
    """A check starts."""

    check_id: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Progress of a check: `done` of `total` things called `unit`; `total` is None if unknown. While a check waits, `unit` says why."""

    check_id: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused:
    """The pause file exists. No store is asked anything until it is removed."""

    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """The pause file was removed after `after_s` seconds."""

    path: str
    after_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingFound:
    """A suspect was confirmed as a finding."""

    finding: Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckFinished:
    """A check ended with its outcome."""

    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished:
    """The run ended. `result.interrupted` is set if it did not complete."""

    result: RunResult


Event = RunStarted | CheckStarted | Progress | Paused | Resumed | FindingFound | CheckFinished | RunFinished
