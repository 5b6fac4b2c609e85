"""A world whose OpenIM's own database can be read: what stands there is judged, each breach by exactly its checks."""

from __future__ import annotations

import pytest

from fixtures.faults import Fault
from fixtures.scenarios.phases import ScenarioRun, run_stored
from fixtures.stack.stack import Stack
from tests.verifier.checks.verdicts import LEFT_OUT, demand, demand_clean, demand_explanations, demand_rounds, faults_of
from verifier.model.invariant import Phase

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def story(stack: Stack) -> ScenarioRun:
    """The world's story, told once."""
    return run_stored(stack)


def test_the_healthy_world_holds(story: ScenarioRun) -> None:
    """Before anything is planted, every check that applies holds, those of OpenIM's store too."""
    demand_clean(story, Phase.CUTOVER, but=LEFT_OUT, name="stored")


def test_nothing_else_is_reported(story: ScenarioRun) -> None:
    """No finding without a fault behind it, and no check that could not know without a reason."""
    demand_rounds(story)


def test_accusations_explain_themselves(story: ScenarioRun) -> None:
    """Both values, evidence, the next step, no secret; and what holds says what it saw."""
    demand_explanations(story)


@pytest.mark.parametrize("fault", faults_of("stored"), ids=lambda fault: fault.id)
def test_each_fault_is_answered(story: ScenarioRun, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, a look-alike by none."""
    demand(story, fault)
