"""The JSON files that load commands write and `python -m reports` reads: a run, a capacity search, a comparison with a baseline.

Keys are a stored format: they stay as they are, also where the code calls a thing otherwise by now (`doubts` are warnings of
the generator's health, `told` is the summary for a terminal).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer, field_serializer, field_validator

from verifier.model.verdict import Verdict

CAPACITY: Final = "openim-ssot load capacity"
COMPARISON: Final = "openim-ssot load comparison"

Moment = Annotated[datetime, PlainSerializer(lambda at: at.isoformat(), return_type=str)]
"""A time as ISO 8601 with its offset."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProblemResult(_Document):
    """One thing that a judge found wrong."""

    key: str
    summary: str
    expected: str
    actual: str
    next_step: str = ""
    evidence: dict[str, str] = {}


class JudgementResult(_Document):
    """What one judge found. `problems` may be fewer than `problems_total`."""

    verdict: Verdict
    reason: str
    coverage: str
    problems_total: int
    problems: tuple[ProblemResult, ...]
    notes: tuple[str, ...] = ()


class AfterResult(_Document):
    """What the verifier found in the stack after the load: violated invariants (`broken`) and inconclusive ones (`unknown`)."""

    exit_code: int | None = None
    headline: str
    broken: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    report: str = ""


class LossRow(_Document):
    """The messages that one conversation lost; `counts` holds pairs of a step and how many were sent in it."""

    conversation: str
    lost: int
    counts: tuple[tuple[int, int], ...]


class Timeline(_Document):
    """A run in steps of `step_s` seconds: counts and latency percentiles in ms (None: nothing was measured in the step)."""

    step_s: float
    due: tuple[int, ...]
    sent: tuple[int, ...]
    acked: tuple[int, ...]
    refused: tuple[int, ...]
    pushed: tuple[int, ...]
    lost: tuple[int, ...]
    readable: tuple[int, ...] = ()
    unanswered: int = 0
    send_ms: dict[str, tuple[float | None, ...]]
    push_ms: dict[str, tuple[float | None, ...]]
    losses: tuple[LossRow, ...] = ()


class BacklogResult(_Document):
    """How far the server stored behind its acknowledgements.

    `unstored_most` messages were acknowledged and not yet readable at the same time, `unstored_at_end` when sending ended;
    `unreadable` never became readable and are not known to be lost. `drain_s` is the time from the last send until the last message
    was readable (None: not all of them were), at `drained_per_s`. `growth_per_s` is how fast the backlog grew while messages were
    sent, with half the width of its 95 % interval.
    """

    unstored_most: int
    unstored_at_end: int
    unreadable: int = 0
    drain_s: float | None = None
    drained_per_s: float | None = None
    growth_per_s: float | None = None
    growth_error_per_s: float | None = None

    @property
    def grows(self) -> bool:
        """Whether the backlog surely grew."""
        if self.growth_per_s is None or self.growth_error_per_s is None:
            return False
        return self.growth_per_s - self.growth_error_per_s > 0

    def to_text(self) -> str:
        """One line for a terminal."""
        text = f"acknowledged and not yet readable: at most {self.unstored_most} messages, {self.unstored_at_end} when sending ended"
        if self.unreadable:
            text += f"; {self.unreadable} were not readable at the end"
            return text + (f", {self.drained_per_s:.0f} per second became readable" if self.drained_per_s else "")
        return text + (f"; all were readable {self.drain_s:.1f} s later" if self.drain_s is not None else "")


class LoadResult(_Document):
    """`load-RUN.json`: what `locust` and `python -m load judge` write. `delivery` is None if nothing was sent."""

    format: Literal[1] = 1
    run_id: str
    stack: str
    started_at: Moment
    ended_at: Moment
    exit_code: int
    delivery: dict[str, Any] | None
    judgements: dict[str, JudgementResult]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    latency_ms: dict[str, dict[str, float]] = {}
    timeline: Timeline | None = None
    backlog: BacklogResult | None = None
    generator: str = ""
    after: AfterResult | None = None

    @field_validator("timeline", mode="before")
    @classmethod
    def _none_for_empty(cls, value: Any) -> Any:
        return value or None

    @field_serializer("timeline")
    def _empty_for_none(self, value: Timeline | None) -> Any:
        return {} if value is None else value.model_dump(mode="json")


Outcome = Literal["held", "broke", "generator"]


class Trial(_Document):
    """One run at one rate: messages per second, of all users together. `generator`: the generator could not keep up.

    `figures` are the measurements, such as `send_p99_ms`.
    """

    per_s: float
    outcome: Outcome
    why: tuple[str, ...] = ()
    figures: dict[str, float] = {}


class CapacityResult(_Document):
    """`capacity-RUN.json`: what `python -m load capacity` writes. `objectives` are the thresholds by name."""

    format: Literal["openim-ssot load capacity"] = CAPACITY
    version: Literal[1] = 1
    exit_code: int
    told: str
    sustained_per_s: float | None
    broken_per_s: float | None = None
    limited_by_generator: bool = False
    trials: tuple[Trial, ...]
    stack: str
    started_at: Moment
    ended_at: Moment
    objectives: dict[str, float] = {}


Meaning = Literal["worse", "better", "same", "unknown"]
MEANINGS: Final[Mapping[Meaning, str]] = {
    "worse": "WORSE",
    "better": "better",
    "same": "no real difference",
    "unknown": "too little data",
}


class Difference(_Document):
    """One figure of both sides. `low` and `high` are the ends of the 95 % interval of the ratio new / baseline."""

    figure: str
    baseline: float
    new: float
    low: float
    high: float
    meaning: Meaning

    def to_text(self) -> str:
        """One line for a terminal."""
        return (
            f"  {self.figure:18} {self.baseline:10.2f} -> {self.new:10.2f}   ratio {self.new / self.baseline:5.2f} "
            f"({self.low:.2f} to {self.high:.2f})   {MEANINGS[self.meaning]}"
        )


class ComparisonResult(_Document):
    """`compare-RUN.json`: what `python -m load compare` writes. `beside` are the runs of the baseline."""

    format: Literal["openim-ssot load comparison"] = COMPARISON
    version: Literal[1] = 1
    exit_code: int
    notes: tuple[str, ...] = ()
    stack: str
    started_at: Moment
    ended_at: Moment
    runs: tuple[str, ...]
    beside: tuple[str, ...]
    differences: tuple[Difference, ...]
