"""What became of each case of the catalogue, and what a run said beyond them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from fixtures.faults import CATALOGUE, Fault
from fixtures.scenarios.judging import Round
from fixtures.scenarios.stories import Story
from reports.models.scorecard import ScorecardDocument
from verifier.model.verdict import Verdict

LETTERS = {"breach": "V", "lookalike": "L", "unknowable": "U"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case, scored.

    Attributes:
        id, letter, depth: of the fault; the letter is V, L or U.
        checks: whom it is counted for: those that must report a V, might be misled by an L, must admit a U.
        right: whether exactly the right was said.
        said: what was said, where it was not.
        detect_s: from the plant to the verdict of the last check that had to answer; a run judges many cases at once, and
            the time until it began counts in.
    """

    id: str
    letter: str
    depth: str
    checks: tuple[str, ...]
    right: bool
    said: str = ""
    detect_s: float | None = None


@dataclass(kw_only=True)
class Card:
    """The scoreboard of one run.

    Attributes:
        false_alarms: findings that nothing planted explains.
        unexplained: checks that could not know, without a case that blinds them.
        not_run: cases that this machine could not plant, with what they lack.
        traffic: how often the background did what.
    """

    seed: int
    cases: list[Case] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    traffic: dict[str, int] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether every case was answered rightly, and nothing else was said."""
        return bool(self.cases) and not (self.misses or self.false_alarms or self.unexplained)

    @property
    def misses(self) -> list[Case]:
        """The cases that were answered wrongly."""
        return [case for case in self.cases if not case.right]

    def add_story(self, story: Story, phases: Iterable[str], only: frozenset[str]) -> None:
        """Score a story: its cases, and what was said beyond them."""
        for fault in wanted(phases, only):
            told = story.of(fault)
            if told is None:
                self.not_run[fault.id] = "it needs " + ", ".join(sorted(fault.needs - story.has))
            else:
                self.cases.append(scored(fault, told))
        for name, told in story.rounds.items():
            self.false_alarms += [f"{name}: {text}" for text in told.unexplained()]
            blind = told.verdicts(Verdict.INCONCLUSIVE) - told.blinded()
            self.unexplained += [f"{name}: {text}" for text in because(told, blind)]
        for action, times in story.traffic.items():
            self.traffic[action] = self.traffic.get(action, 0) + times

    def to_json(self, command: str) -> dict[str, Any]:
        """Everything, for a machine and for the joined report."""
        about = {"command": command, "at": datetime.now(UTC), "clean": self.clean, "totals": totals(self.cases)}
        return ScorecardDocument.model_validate({**about, **asdict(self)}).model_dump(mode="json")


def wanted(phases: Iterable[str], only: frozenset[str]) -> Iterator[Fault]:
    """The faults of a story, without those that are scored one by one."""
    chosen = set(phases)
    for fault in CATALOGUE:
        alone = fault.kind == "unknowable" or fault.depth == "mutant"
        if fault.phase in chosen and not alone and (not only or fault.id in only):
            yield fault


def scored(fault: Fault, told: Round) -> Case:
    """What became of a breach or a look-alike in its round."""
    found = told.reported(fault)
    asked = {outcome.check_id for outcome in told.result.outcomes}
    blind = (fault.expects | fault.near) & told.verdicts(Verdict.INCONCLUSIVE) - fault.blinds - told.blinded()
    wrong = []
    if missed := fault.expects - found:
        wrong.append(f"not reported by {', '.join(sorted(missed))}")
    if loud := found - fault.expects:
        wrong.append(f"reported by {', '.join(sorted(loud))}")
    if idle := fault.near - asked:
        wrong.append(f"not asked: {', '.join(sorted(idle))}")
    wrong += because(told, blind)
    times = [told.judged[check] for check in fault.expects if check in told.judged]
    return Case(
        id=fault.id,
        letter=LETTERS[fault.kind],
        depth=fault.depth,
        checks=tuple(sorted(fault.expects or fault.near)),
        right=not wrong,
        said="; ".join(wrong),
        detect_s=round(max(times) - told.planted[fault.id], 2) if times and not wrong else None,
    )


def admitted(fault: Fault, told: Round) -> Case:
    """What became of something unknowable: each blinded check says so, with the reason; nobody accuses anybody."""
    reasons = {
        outcome.check_id: outcome.judgement.reason
        for outcome in told.result.outcomes
        if outcome.verdict is Verdict.INCONCLUSIVE
    }
    wrong = [f"{check} does not admit it" for check in sorted(fault.blinds - reasons.keys())]
    wrong += [
        f"{check} says: {reasons[check]}"
        for check in sorted(fault.blinds & reasons.keys())
        if not any(word in reasons[check] for word in fault.because)
    ]
    wrong += [f"reported {text}" for text in told.unexplained()]
    wrong += because(told, reasons.keys() - fault.blinds)
    times = [told.judged[check] for check in fault.blinds if check in told.judged]
    return Case(
        id=fault.id,
        letter=LETTERS[fault.kind],
        depth=fault.depth,
        checks=tuple(sorted(fault.blinds)),
        right=not wrong,
        said="; ".join(wrong),
        detect_s=round(max(times) - told.planted[fault.id], 2) if times and not wrong else None,
    )


def because(told: Round, checks: Iterable[str]) -> list[str]:
    """Why some checks could not know."""
    reasons = {outcome.check_id: outcome.judgement.reason for outcome in told.result.outcomes}
    return [f"{check} inconclusive: {reasons[check]}" for check in sorted(checks)]


def totals(cases: Iterable[Case]) -> dict[str, dict[str, int]]:
    """Right and all cases by letter."""
    counted = {letter: {"right": 0, "total": 0} for letter in LETTERS.values()}
    for case in cases:
        counted[case.letter]["total"] += 1
        counted[case.letter]["right"] += case.right
    return counted


def by_check(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases of each invariant; a case with several is counted for each."""
    grouped: dict[str, list[Case]] = {}
    for case in cases:
        for check in case.checks:
            grouped.setdefault(check, []).append(case)
    return dict(sorted(grouped.items()))
