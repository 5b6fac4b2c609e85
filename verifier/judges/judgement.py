"""What a judge says of a journal: problems, and how much could be known."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Verdict

PROBLEMS_MAX = 1000
"""So many problems are told one by one; the rest is counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalJudgement:
    """The result of one judge over one journal. A judge returns None where the journal holds nothing of its kind.

    Of `total` things called `unit`, `seen` were judged to an end and `unknown` cannot be known. `problems` holds at
    most `PROBLEMS_MAX` of `problems_total`. `seen_over` says by which way it was seen, `unseen` names what this judge
    cannot see by its nature.
    """

    problems: tuple[Problem, ...]
    seen: int
    total: int
    unit: str
    problems_total: int = 0
    unknown: int = 0
    notes: tuple[str, ...] = ()
    seen_over: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """A problem outranks a gap; nothing judged is never a pass."""
        if self.problems:
            return Verdict.VIOLATED
        if self.seen == 0 or self.unknown > 0:
            return Verdict.INCONCLUSIVE
        return Verdict.HOLDS

    @property
    def reason(self) -> str:
        """Why the verdict is inconclusive; empty otherwise."""
        if self.verdict is not Verdict.INCONCLUSIVE:
            return ""
        if self.total == 0:
            return f"the journal holds no {self.unit} that could be judged: nothing succeeded"
        return f"{self.unknown or self.total} of {self.total} {self.unit} could not be judged"

    @property
    def coverage(self) -> Coverage:
        """The numbers as every verdict states them."""
        unknown = f"{self.unknown} unknown" if self.unknown else ""
        text = "; ".join(part for part in (unknown, self.seen_over) if part)
        return Coverage(seen=self.seen, total=self.total, unit=self.unit, text=text, unseen=self.unseen)


class Problems:
    """Collects problems up to `PROBLEMS_MAX` and counts them all."""

    def __init__(self) -> None:
        self.told: list[Problem] = []
        self.total = 0

    def add(self, problem: Problem) -> None:
        """Keep a problem, or count it."""
        self.total += 1
        if len(self.told) < PROBLEMS_MAX:
            self.told.append(problem)

    def judgement(
        self,
        *,
        seen: int,
        total: int,
        unit: str,
        unknown: int = 0,
        notes: tuple[str, ...] = (),
        seen_over: str = "",
        unseen: tuple[str, ...] = (),
    ) -> JournalJudgement:
        """The judgement that these problems make."""
        return JournalJudgement(
            problems=tuple(self.told),
            problems_total=self.total,
            seen=seen,
            total=total,
            unit=unit,
            unknown=unknown,
            notes=notes,
            seen_over=seen_over,
            unseen=unseen,
        )
