"""Verdicts, coverage, the outcome of a check, and the exit codes that a pipeline acts on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Self

from verifier.model.finding import Finding
from verifier.model.footprint import Footprint
from verifier.model.invariant import Severity


class Verdict(StrEnum):
    """What is known of an invariant. A warning is a note on a verdict, not a further state."""

    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    HOLDS = "holds"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


_PRIORITY = (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS, Verdict.WAIVED, Verdict.NOT_APPLICABLE)


class ExitCode(IntEnum):
    """The documented exit codes. If several apply, the first of 130, 1, 2, 4 is returned."""

    HOLDS = 0
    VIOLATED = 1
    INCONCLUSIVE = 2
    USAGE = 3
    UNDELIVERED = 4
    INTERNAL = 70
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a verdict rests on: how much was read, and what could not be seen.

    `seen` of `total` things called `unit` were read; `total` is None if unknown. `text` adds a remark. `unseen` lists what
    this technique cannot see here. `observed_s` is the time in seconds that a tap listened, for techniques that see only
    what happens meanwhile.
    """

    seen: int = 0
    total: int | None = None
    unit: str = "rows"
    text: str = ""
    unseen: tuple[str, ...] = ()
    observed_s: float = 0.0

    def __str__(self) -> str:
        """The sentence without `unseen`, which `Outcome.coverage_text` adds once for all proofs of a check."""
        parts = []
        if self.total is not None:
            parts.append(f"{_thousands(self.seen)} of {_thousands(self.total)} {self.unit}")
        elif self.seen:
            parts.append(f"{_thousands(self.seen)} {self.unit}")
        if self.text:
            parts.append(self.text)
        return "; ".join(parts)


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The result of one proof. `merge` combines those of a check with several proofs.

    `findings_total` counts the findings including those that are not listed. `queries` are the statements that were sent.
    `partial` means that a part was inconclusive, so an earlier finding that is missing here is not known to be gone.
    """

    verdict: Verdict
    reason: str = ""
    coverage: tuple[Coverage, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    findings_total: int = 0
    queries: tuple[str, ...] = ()
    partial: bool = False

    @classmethod
    def inconclusive(cls, reason: str, *, coverage: Sequence[Coverage] = (), notes: Sequence[str] = ()) -> Self:
        """An inconclusive judgement. `reason` says why, and what to do."""
        return cls(verdict=Verdict.INCONCLUSIVE, reason=reason, coverage=tuple(coverage), notes=tuple(notes))

    @classmethod
    def not_applicable(cls, reason: str, *, notes: Sequence[str] = ()) -> Self:
        """A judgement for a check that does not apply: phase, scope, policy, not granted, empty."""
        return cls(verdict=Verdict.NOT_APPLICABLE, reason=reason, notes=tuple(notes))

    @classmethod
    def merge(cls, parts: Iterable[Judgement]) -> Judgement:
        """Combine the parts: the worst verdict, with the coverage, notes, findings and queries of all."""
        parts = list(parts)
        if not parts:
            return cls.not_applicable("nothing to judge")
        verdict = min((part.verdict for part in parts), key=_PRIORITY.index)
        reasons = [part.reason for part in parts if part.reason and part.verdict is verdict]
        notes = [note for part in parts for note in part.notes]
        # The reason of a part that is not applicable or inconclusive must not be lost behind another verdict.
        notes += [
            f"{part.verdict.value}: {part.reason}" for part in parts if part.verdict is not verdict and part.reason
        ]
        return cls(
            verdict=verdict,
            reason="; ".join(dict.fromkeys(reasons)),
            coverage=tuple(item for part in parts for item in part.coverage),
            notes=tuple(dict.fromkeys(notes)),
            findings=tuple(item for part in parts for item in part.findings),
            findings_total=sum(part.findings_total for part in parts),
            queries=tuple(dict.fromkeys(query for part in parts for query in part.queries)),
            partial=any(part.partial or part.verdict is Verdict.INCONCLUSIVE for part in parts),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of one check in one run.

    `pending` means that the check came with an upgrade and is not accepted yet, so it does not count in the exit code.
    """

    check_id: str
    title: str
    severity: Severity
    judgement: Judgement
    started_at: datetime
    ended_at: datetime
    pending: bool = False

    @property
    def verdict(self) -> Verdict:
        """Shorthand for the judgement's verdict."""
        return self.judgement.verdict

    @property
    def duration_s(self) -> float:
        """How long the check ran, in seconds, without the time in the queue."""
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def coverage_text(self) -> str:
        """The coverage sentences of all proofs, joined."""
        parts = dict.fromkeys(str(item) for item in self.judgement.coverage if str(item))
        unseen = dict.fromkeys(what for item in self.judgement.coverage for what in item.unseen)
        return "; ".join([*parts, *([f"not visible here: {', '.join(unseen)}"] if unseen else [])])


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """A finished or interrupted run.

    `reads` is the number of statements sent to each store, and `footprints` describes them.
    """

    run_id: str
    stack: str
    phase: str
    started_at: datetime
    ended_at: datetime
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    reads: dict[str, int] = field(default_factory=dict)
    footprints: Mapping[str, Footprint] = field(default_factory=dict)

    def count(self, verdict: Verdict) -> int:
        """How many checks ended in `verdict`."""
        return sum(outcome.verdict is verdict for outcome in self.outcomes)

    @property
    def counted(self) -> tuple[Outcome, ...]:
        """The outcomes that count in the exit code: all but the pending ones."""
        return tuple(item for item in self.outcomes if not item.pending)

    def exit_code(
        self, fail_on: frozenset[Severity] = frozenset(Severity), accepted: frozenset[str] = frozenset()
    ) -> ExitCode:
        """The exit code.

        `fail_on` limits code 1 to some severities. `accepted` names checks that may be inconclusive.
        """
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if any(item.verdict is Verdict.VIOLATED and item.severity in fail_on for item in self.counted):
            return ExitCode.VIOLATED
        if any(item.verdict is Verdict.INCONCLUSIVE and item.check_id not in accepted for item in self.counted):
            return ExitCode.INCONCLUSIVE
        return ExitCode.HOLDS

    def with_notes(self, *notes: str) -> RunResult:
        """The same run with more notes."""
        return replace(self, notes=(*self.notes, *notes))
