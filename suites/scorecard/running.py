"""Running the catalogue: each story with traffic in its background, its faults in an order of the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fixtures.faults import CATALOGUE
from fixtures.scenarios.phases import Story, Telling, tell_of_openims_store, tell_of_the_cutover, tell_of_the_freeze
from fixtures.stack.stack import Stack
from suites.scorecard import alone, page
from suites.scorecard.score import Card

STORIES: tuple[tuple[Callable[[Stack, Telling], Story], frozenset[str]], ...] = (
    (tell_of_the_cutover, frozenset({"cutover"})),
    (tell_of_openims_store, frozenset({"stored"})),
    (tell_of_the_freeze, frozenset({"frozen", "decommissioned"})),
)


def named(names: Sequence[str]) -> frozenset[str]:
    """The cases that are called so, or that concern a check that is called so."""
    chosen = set(names)
    return frozenset(
        fault.id for fault in CATALOGUE if chosen & {fault.id, *fault.expects, *fault.near, *fault.blinds, fault.check}
    )


def run(stack: Stack, *, seed: int, only: frozenset[str] = frozenset(), say: Callable[[str], None]) -> Card:
    """Run the cases (all, or `only` some) and score them."""
    card = Card(seed=seed)
    telling = Telling(seed=seed, shuffled=True, steady=True, only=only)
    for tell, phases in STORIES:
        if any(fault.phase in phases and (not only or fault.id in only) for fault in CATALOGUE):
            card.add_story(tell(stack, telling), phases, only)
            say(f"{' and '.join(sorted(phases))}: {page.summary(card)}")
    if unknown := [fault for fault in CATALOGUE if fault.kind == "unknowable" and (not only or fault.id in only)]:
        alone.tell_of_the_unknowable(stack, telling, unknown, card)
        say(f"unknowable: {page.summary(card)}")
    if mutants := [fault for fault in CATALOGUE if fault.depth == "mutant" and (not only or fault.id in only)]:
        alone.tell_of_the_mutants(stack, telling, mutants, card)
        say(f"mutants: {page.summary(card)}")
    return card
