"""A world in which OpenIM's own database can be read: each breach is found by exactly its checks, and each look-alike by none."""

from __future__ import annotations

import pytest

from fixtures.faults import Fault
from fixtures.scenarios.phases import ScenarioRun, run_stored
from fixtures.stack.stack import Stack
from tests.verifier.checks.verdicts import LEFT_OUT, demand, demand_clean, demand_explanations, demand_rounds, faults_of
from verifier.model.invariant import Phase

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def scenario(stack: Stack) -> ScenarioRun:
    """The scenario, run once."""
    return run_stored(stack)


def test_the_healthy_world_holds(scenario: ScenarioRun) -> None:
    """Before anything is planted, every check that applies holds, those of OpenIM's store too."""
    demand_clean(scenario, Phase.CUTOVER, but=LEFT_OUT, name="stored")


def test_nothing_else_is_reported(scenario: ScenarioRun) -> None:
    """Every finding and every inconclusive check has a planted fault behind it."""
    demand_rounds(scenario)


def test_accusations_explain_themselves(scenario: ScenarioRun) -> None:
    """Findings have both values, evidence and a next step, and show no secret; a check that holds states its coverage."""
    demand_explanations(scenario)


@pytest.mark.parametrize("fault", faults_of("stored"), ids=lambda fault: fault.id)
def test_each_fault_is_answered(scenario: ScenarioRun, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, a look-alike by none."""
    demand(scenario, fault)
