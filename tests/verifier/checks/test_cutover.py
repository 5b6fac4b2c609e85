"""A world in the middle of its move: each breach is found by exactly its checks, each look-alike left alone."""

from __future__ import annotations

import pytest

from fixtures.faults import Fault
from fixtures.scenarios.phases import ScenarioRun, run_cutover
from fixtures.stack.stack import Stack
from tests.verifier.checks.verdicts import (
    LEFT_OUT,
    OPENIMS_STORE,
    demand,
    demand_clean,
    demand_explanations,
    demand_rounds,
    faults_of,
)
from verifier.model.invariant import Phase
from verifier.model.verdict import Verdict

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def story(stack: Stack) -> ScenarioRun:
    """The world's story, told once."""
    return run_cutover(stack)


def test_the_healthy_world_holds(story: ScenarioRun) -> None:
    """Before anything is planted, every check that applies holds."""
    demand_clean(story, Phase.CUTOVER, but=LEFT_OUT | OPENIMS_STORE)


def test_mirrored_friends_hold(story: ScenarioRun) -> None:
    """Where the policy mirrors friends, the check holds as soon as they are whole in both places."""
    assert story.rounds["cutover lookalike mirrored"].verdicts(Verdict.HOLDS) == {"KEEP-03"}


def test_nothing_else_is_reported(story: ScenarioRun) -> None:
    """No finding without a fault behind it, and no check that could not know without a reason."""
    demand_rounds(story)


def test_accusations_explain_themselves(story: ScenarioRun) -> None:
    """Both values, evidence, the next step, no secret; and what holds says what it saw."""
    demand_explanations(story)


@pytest.mark.parametrize("fault", faults_of("cutover"), ids=lambda fault: fault.id)
def test_each_fault_is_answered(story: ScenarioRun, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, a look-alike by none."""
    demand(story, fault)
