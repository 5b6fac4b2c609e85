"""The result of judging a journal: problems, and how much could be known."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Verdict

PROBLEMS_MAX = 1000
"""At most this many problems are listed. Further ones are only counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalJudgement:
    """The result of one judge for one journal. A judge returns None if the journal contains nothing of its kind.

    Of `total` things called `unit`, `seen` were judged and `unknown` could not be. `problems` lists at most `PROBLEMS_MAX`
    of the `problems_total` problems. `seen_over` names the transport, and `unseen` what this judge cannot see.
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
        """Violated if there is a problem, else inconclusive if something is unknown or nothing was judged, else holds."""
        if self.problems:
            return Verdict.VIOLATED
        if self.seen == 0 or self.unknown > 0:
            return Verdict.INCONCLUSIVE
        return Verdict.HOLDS

    @property
    def reason(self) -> str:
        """Why the verdict is inconclusive, else ""."""
        if self.verdict is not Verdict.INCONCLUSIVE:
            return ""
        if self.total == 0:
            return f"the journal contains no {self.unit} that could be judged: nothing succeeded"
        return f"{self.unknown or self.total} of {self.total} {self.unit} could not be judged"

    @property
    def coverage(self) -> Coverage:
        """The coverage for the verdict."""
        unknown = f"{self.unknown} unknown" if self.unknown else ""
        text = "; ".join(part for part in (unknown, self.seen_over) if part)
        return Coverage(seen=self.seen, total=self.total, unit=self.unit, text=text, unseen=self.unseen)


class Problems:
    """Collects up to `PROBLEMS_MAX` problems and counts all of them."""

    def __init__(self) -> None:
        self.listed: list[Problem] = []
        self.total = 0

    def add(self, problem: Problem) -> None:
        """Add a problem."""
        self.total += 1
        if len(self.listed) < PROBLEMS_MAX:
            self.listed.append(problem)

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
        """The judgement with these problems."""
        return JournalJudgement(
            problems=tuple(self.listed),
            problems_total=self.total,
            seen=seen,
            total=total,
            unit=unit,
            unknown=unknown,
            notes=notes,
            seen_over=seen_over,
            unseen=unseen,
        )
