"""A frozen world, then a decommissioned one: silence is proven by counters and by witnesses."""

from __future__ import annotations

import pytest

from fixtures.faults import Fault
from fixtures.stack import Stack
from suites.selftest.checks.stories import Story, tell_of_the_freeze
from suites.selftest.checks.verdicts import demand, demand_clean, demand_rounds, faults_of

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def story(stack: Stack) -> Story:
    """The world's story, told once."""
    return tell_of_the_freeze(stack)


def test_the_healthy_world_holds(story: Story) -> None:
    """Before anything is planted, every check that applies holds."""
    demand_clean(story, "frozen", but=frozenset({"KEEP-03"}))


def test_nothing_else_is_reported(story: Story) -> None:
    """No finding without a fault behind it, and no check that could not know without a reason."""
    demand_rounds(story)


@pytest.mark.parametrize("fault", faults_of("frozen", "decommissioned"), ids=lambda fault: fault.id)
def test_each_fault_is_answered(story: Story, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, a look-alike by none."""
    demand(story, fault)
