"""What the history hands out: plain records, none of which needs the database to be open."""

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
    """What a run was for. A what-if (`--phase` on the command line) leaves verdicts alone behind: no findings, no watermarks."""

    RUN = "run"
    BASELINE = "baseline"
    WHAT_IF = "what-if"


class RunState(StrEnum):
    """Where a run stands. One that was killed is `interrupted` as soon as its lock is free."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class FindingState(StrEnum):
    """`new`: not there the time before (also when it had healed); `persisting`: seen again; `healed`: judged and gone."""

    NEW = "new"
    PERSISTING = "persisting"
    HEALED = "healed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """One run in numbers; holds no key, no value, no name of a user, so it may be published as it is."""

    run_id: str
    stack: str
    phase: str
    kind: RunKind
    state: RunState
    started_at: datetime
    ended_at: datetime
    counts: Mapping[Verdict, int]

    def count(self, verdict: Verdict) -> int:
        """How many checks ended in `verdict`."""
        return self.counts.get(verdict, 0)

    @property
    def duration_s(self) -> float:
        """From the start to the end, or to the last verdict of an interrupted run."""
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFinding:
    """A breach as it is remembered. `finding` is the last sighting and carries the raw key again, for `recheck`."""

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
    """What a check remembers of one object."""

    check_id: str
    slot: str
    taken_at: datetime
    value: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class CutShort:
    """A run that has no end. `plan` is what it was started with; `resumed` how often it was taken up again."""

    run_id: str
    phase: str
    started_at: datetime
    last_at: datetime
    plan: Mapping[str, Any]
    resumed: int
    judged: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What one check's verdict changed, by fingerprint."""

    new: tuple[str, ...] = ()
    persisting: tuple[str, ...] = ()
    healed: tuple[str, ...] = ()
