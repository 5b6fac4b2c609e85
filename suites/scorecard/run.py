"""Run the catalogue: each scenario with background traffic, its faults in an order given by the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fixtures.faults import CATALOGUE
from fixtures.scenarios.phases import ScenarioOptions, ScenarioRun, run_cutover, run_frozen, run_stored
from fixtures.stack.stack import Stack
from suites.scorecard import page, single_cases
from suites.scorecard.score import Card

SCENARIOS: tuple[tuple[Callable[[Stack, ScenarioOptions], ScenarioRun], frozenset[str]], ...] = (
    (run_cutover, frozenset({"cutover"})),
    (run_stored, frozenset({"stored"})),
    (run_frozen, frozenset({"frozen", "decommissioned"})),
)


def select_cases(names: Sequence[str]) -> frozenset[str]:
    """The cases with these ids, or about the checks with these ids."""
    chosen = set(names)
    return frozenset(
        fault.id
        for fault in CATALOGUE
        if chosen & {fault.id, *fault.expects, *fault.near, *fault.inconclusive, fault.check}
    )


def run_catalogue(stack: Stack, *, seed: int, only: frozenset[str] = frozenset(), say: Callable[[str], None]) -> Card:
    """Run the cases (all, or `only` some) and score them."""
    card = Card(seed=seed)
    options = ScenarioOptions(seed=seed, shuffled=True, background_traffic=True, only=only)
    for run_scenario, phases in SCENARIOS:
        if any(fault.phase in phases and (not only or fault.id in only) for fault in CATALOGUE):
            card.add_scenario(run_scenario(stack, options), phases, only)
            say(f"{' and '.join(sorted(phases))}: {page.summary(card)}")
    if unknown := [fault for fault in CATALOGUE if fault.kind == "unknowable" and (not only or fault.id in only)]:
        single_cases.run_unknowable(stack, options, unknown, card)
        say(f"unknowable: {page.summary(card)}")
    if mutants := [fault for fault in CATALOGUE if fault.depth == "mutant" and (not only or fault.id in only)]:
        single_cases.run_mutants(stack, options, mutants, card)
        say(f"mutants: {page.summary(card)}")
    return card
