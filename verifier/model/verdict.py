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
    """What is known of an invariant. Warnings are notes on a verdict, not a sixth state."""

    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    HOLDS = "holds"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


_PRIORITY = (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS, Verdict.WAIVED, Verdict.NOT_APPLICABLE)


class ExitCode(IntEnum):
    """The documented exit codes. 1 outranks 2 outranks 4."""

    HOLDS = 0
    VIOLATED = 1
    INCONCLUSIVE = 2
    USAGE = 3
    UNDELIVERED = 4
    INTERNAL = 70
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was looked at, so that a green says how much it covers and what it would not have seen.

    `seen` of `total` things called `unit` (`total` None = unknown); `text` adds what numbers do not say;
    `unseen` lists, in plain words, what this technique cannot see here. `observed_s`: how long it listened, where it hears only
    what happens while it listens.
    """

    seen: int = 0
    total: int | None = None
    unit: str = "rows"
    text: str = ""
    unseen: tuple[str, ...] = ()
    observed_s: float = 0.0

    def __str__(self) -> str:
        """The sentence without its blind spots; `Outcome.coverage_text` adds those once for all proofs of a check."""
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
    """What one proof concluded. A check with several proofs merges theirs with `merge`.

    `partial`: some part of it could not know, so that a finding which is not listed here need not be gone.
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
        """The check could not know; `reason` says why and what to do."""
        return cls(verdict=Verdict.INCONCLUSIVE, reason=reason, coverage=tuple(coverage), notes=tuple(notes))

    @classmethod
    def not_applicable(cls, reason: str, *, notes: Sequence[str] = ()) -> Self:
        """The question does not arise: phase, scope, policy, not granted, empty."""
        return cls(verdict=Verdict.NOT_APPLICABLE, reason=reason, notes=tuple(notes))

    @classmethod
    def merge(cls, parts: Iterable[Judgement]) -> Judgement:
        """The worst verdict wins; everything that the parts saw and said is kept."""
        parts = list(parts)
        if not parts:
            return cls.not_applicable("nothing to judge")
        verdict = min((part.verdict for part in parts), key=_PRIORITY.index)
        reasons = [part.reason for part in parts if part.reason and part.verdict is verdict]
        notes = [note for part in parts for note in part.notes]
        # A part that does not apply or could not know must not vanish behind a green or a red neighbour.
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
    """One check's result in one run; what renderers and the history consume.

    `pending`: the check came with an upgrade and is not accepted yet, so that it does not count in the exit code.
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
        """Wall time of the check, queueing excluded."""
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def coverage_text(self) -> str:
        """The coverage sentences of all proofs, joined."""
        parts = dict.fromkeys(str(item) for item in self.judgement.coverage if str(item))
        unseen = dict.fromkeys(what for item in self.judgement.coverage for what in item.unseen)
        return "; ".join([*parts, *([f"not visible here: {', '.join(unseen)}"] if unseen else [])])


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """A finished (or interrupted) run: what reports show and what the exit code is made of."""

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
        """The outcomes that the exit code is made of: all but the pending ones."""
        return tuple(item for item in self.outcomes if not item.pending)

    def exit_code(
        self, fail_on: frozenset[Severity] = frozenset(Severity), accepted: frozenset[str] = frozenset()
    ) -> ExitCode:
        """The exit code; `accepted` names checks whose known blindness the profile takes out of it."""
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
