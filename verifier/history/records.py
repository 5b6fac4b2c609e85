"""The records that the history returns: plain dataclasses that need no open database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.verdict import Verdict


class RunKind(StrEnum):
    """The kind of a run. A what-if run (`--phase` on the command line) stores only verdicts: no findings, no watermarks."""

    RUN = "run"
    BASELINE = "baseline"
    WHAT_IF = "what-if"


class RunState(StrEnum):
    """The state of a run. A killed run is `interrupted` as soon as its lock is released."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class FindingState(StrEnum):
    """`new`: not found by the run before (it may have healed earlier); `persisting`: found again; `healed`: judged and not found."""

    NEW = "new"
    PERSISTING = "persisting"
    HEALED = "healed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """The numbers of one run. It holds no key or value of the stack, so it may be published."""

    run_id: str
    stack: str
    phase: str
    kind: RunKind
    state: RunState
    started_at: datetime
    ended_at: datetime
    counts: Mapping[Verdict, int]

    def count(self, verdict: Verdict) -> int:
        """How many checks ended with `verdict`."""
        return self.counts.get(verdict, 0)

    @property
    def duration_s(self) -> float:
        """Seconds from the start to the end, or to the last verdict of an interrupted run."""
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFinding:
    """A stored finding. `finding` is its last occurrence, with the raw key that `recheck` needs."""

    fingerprint: str
    check_id: str
    severity: Severity
    state: FindingState
    first_seen_at: datetime
    last_seen_at: datetime
    healed_at: datetime | None
    times_seen: int
    raw_key: str = field(repr=False)
    finding: Finding = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredWatermark:
    """What a check remembers of one object for the next run."""

    check_id: str
    slot: str
    taken_at: datetime
    value: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class InterruptedRun:
    """A run that did not finish.

    `plan`: the plan it was started with. `resumed`: how often it was resumed. `judged`: how many checks it judged.
    """

    run_id: str
    phase: str
    started_at: datetime
    last_at: datetime
    plan: Mapping[str, Any]
    resumed: int
    judged: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Which findings a check's verdict changed, by fingerprint."""

    new: tuple[str, ...] = ()
    persisting: tuple[str, ...] = ()
    healed: tuple[str, ...] = ()
