"""The score of each case of the catalogue, and findings that no case explains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from fixtures.faults import CATALOGUE, Fault
from fixtures.scenarios.phases import ScenarioRun
from fixtures.scenarios.verifier_runs import Round
from reports.models.scorecard import ScorecardDocument
from verifier.model.verdict import Verdict

LETTERS = {"breach": "V", "lookalike": "L", "unknowable": "U"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case, scored. The field names are also the keys of the JSON file.

    Attributes:
        id, letter, depth: of the fault; the letter is V, L or U.
        checks: those that must report the breach, might be misled by the look-alike, or must admit the unknowable case.
        right: whether the answer was correct.
        said: what was wrong with the answer.
        detect_s: seconds from planting to the verdict of the last check that had to answer. A run judges many cases, and
            the time until it started is included.
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
    """The scorecard of one run.

    Attributes:
        false_alarms: findings that no planted fault explains.
        unexplained: inconclusive checks that no case explains.
        not_run: cases that could not be planted on this machine, with what they lack.
        traffic: how often the background traffic did each action.
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
        """Whether every case was answered correctly, and nothing unexplained was reported."""
        return bool(self.cases) and not (self.misses or self.false_alarms or self.unexplained)

    @property
    def misses(self) -> list[Case]:
        """The cases that were answered wrongly."""
        return [case for case in self.cases if not case.right]

    def add_scenario(self, scenario: ScenarioRun, phases: Iterable[str], only: frozenset[str]) -> None:
        """Score a scenario: its cases, and what no case explains."""
        for fault in wanted(phases, only):
            planted_round = scenario.of(fault)
            if planted_round is None:
                self.not_run[fault.id] = "it needs " + ", ".join(sorted(fault.needs - scenario.has))
            else:
                self.cases.append(scored(fault, planted_round))
        for name, planted_round in scenario.rounds.items():
            self.false_alarms += [f"{name}: {text}" for text in planted_round.unexplained()]
            unknown = planted_round.verdicts(Verdict.INCONCLUSIVE) - planted_round.expected_inconclusive()
            self.unexplained += [f"{name}: {text}" for text in because(planted_round, unknown)]
        for action, times in scenario.traffic.items():
            self.traffic[action] = self.traffic.get(action, 0) + times

    def to_json(self, command: str) -> dict[str, Any]:
        """Everything, for a machine and for the joined report."""
        about = {"command": command, "at": datetime.now(UTC), "clean": self.clean, "totals": totals(self.cases)}
        return ScorecardDocument.model_validate({**about, **asdict(self)}).model_dump(mode="json")


def wanted(phases: Iterable[str], only: frozenset[str]) -> Iterator[Fault]:
    """The faults of a scenario, without those that are scored one by one."""
    chosen = set(phases)
    for fault in CATALOGUE:
        alone = fault.kind == "unknowable" or fault.depth == "mutant"
        if fault.phase in chosen and not alone and (not only or fault.id in only):
            yield fault


def scored(fault: Fault, planted_round: Round) -> Case:
    """Score a breach or a look-alike."""
    found = planted_round.reported(fault)
    ran = {outcome.check_id for outcome in planted_round.result.outcomes}
    unknown = (fault.expects | fault.near) & planted_round.verdicts(
        Verdict.INCONCLUSIVE
    ) - fault.inconclusive - planted_round.expected_inconclusive()
    wrong = []
    if missed := fault.expects - found:
        wrong.append(f"not reported by {', '.join(sorted(missed))}")
    if false_reports := found - fault.expects:
        wrong.append(f"reported by {', '.join(sorted(false_reports))}")
    if not_run := fault.near - ran:
        wrong.append(f"did not run: {', '.join(sorted(not_run))}")
    wrong += because(planted_round, unknown)
    times = [planted_round.judged[check] for check in fault.expects if check in planted_round.judged]
    return Case(
        id=fault.id,
        letter=LETTERS[fault.kind],
        depth=fault.depth,
        checks=tuple(sorted(fault.expects or fault.near)),
        right=not wrong,
        said="; ".join(wrong),
        detect_s=round(max(times) - planted_round.planted[fault.id], 2) if times and not wrong else None,
    )


def admitted(fault: Fault, planted_round: Round) -> Case:
    """Score an unknowable case: each check that cannot answer is inconclusive for the right reason, and nothing is reported."""
    reasons = {
        outcome.check_id: outcome.judgement.reason
        for outcome in planted_round.result.outcomes
        if outcome.verdict is Verdict.INCONCLUSIVE
    }
    wrong = [f"{check} is not inconclusive" for check in sorted(fault.inconclusive - reasons.keys())]
    wrong += [
        f"{check} gives another reason: {reasons[check]}"
        for check in sorted(fault.inconclusive & reasons.keys())
        if not any(word in reasons[check] for word in fault.because)
    ]
    wrong += [f"reported {text}" for text in planted_round.unexplained()]
    wrong += because(planted_round, reasons.keys() - fault.inconclusive)
    times = [planted_round.judged[check] for check in fault.inconclusive if check in planted_round.judged]
    return Case(
        id=fault.id,
        letter=LETTERS[fault.kind],
        depth=fault.depth,
        checks=tuple(sorted(fault.inconclusive)),
        right=not wrong,
        said="; ".join(wrong),
        detect_s=round(max(times) - planted_round.planted[fault.id], 2) if times and not wrong else None,
    )


def because(planted_round: Round, checks: Iterable[str]) -> list[str]:
    """Why these checks are inconclusive."""
    reasons = {outcome.check_id: outcome.judgement.reason for outcome in planted_round.result.outcomes}
    return [f"{check} inconclusive: {reasons[check]}" for check in sorted(checks)]


def totals(cases: Iterable[Case]) -> dict[str, dict[str, int]]:
    """Correct answers and cases, by letter."""
    counted = {letter: {"right": 0, "total": 0} for letter in LETTERS.values()}
    for case in cases:
        counted[case.letter]["total"] += 1
        counted[case.letter]["right"] += case.right
    return counted


def by_check(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases by invariant. A case with several checks is counted for each."""
    grouped: dict[str, list[Case]] = {}
    for case in cases:
        for check in case.checks:
            grouped.setdefault(check, []).append(case)
    return dict(sorted(grouped.items()))
