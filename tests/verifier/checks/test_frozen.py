"""A frozen world, then a decommissioned one: silence is proven by counters and by witnesses."""

from __future__ import annotations

import pytest

from fixtures.faults import Fault
from fixtures.scenarios.phases import ScenarioRun, run_frozen
from fixtures.stack.stack import Stack
from tests.verifier.checks.verdicts import (
    LEFT_OUT,
    OPENIMS_STORE,
    demand,
    demand_clean,
    demand_explanations,
    demand_rounds,
    faults_of,
    known_by,
)
from verifier.model.invariant import Phase

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

COUNTED = "counters of the server"
KNOWN_BY = {
    "CNV-01/written-and-removed": COUNTED,
    "CNV-01/back-dated": "its transaction",
    "CNV-01/honest": "its own column created_at",
    "CNV-02/counters": COUNTED,
    "CNV-02/moved-up": "its own column last_message_at",
    "CNV-02/counted-on": "its transaction",
    "CNV-04/written-and-removed": COUNTED,
    "CNV-04/read-on": "its transaction",
    "CNV-04/mentioned": "its own column created_at",
    "GRP-01/written-and-removed": COUNTED,
    "GRP-01/back-dated-member": "its transaction",
    "GRP-01/renamed": "its own column updated_at",
    "MSG-02/edited": "change stream",
    "MSG-02/deleted": "change stream",
    "PUB-01/counted": COUNTED,
    "PUB-01/published": "a subscription of the verifier",
    "PUB-01/sharded": "a subscription of the verifier (sharded)",
    "PRS-01/present": "OBJECT IDLETIME",
    "PRS-01/one-second": "appeared or was renewed during the observation",
    "MQ-02/drained": COUNTED,
    "MQ-01/there-again": "the queue exists, and did not before",
}
"""By its counter and by its witness. A change stream is both at once, a key pattern has no counter; `MQ-01/there-again` is MQ-02's witness."""


@pytest.fixture(scope="module")
def scenario(stack: Stack) -> ScenarioRun:
    """The scenario, run once."""
    return run_frozen(stack)


def test_the_healthy_world_holds(scenario: ScenarioRun) -> None:
    """Before anything is planted, every check that applies holds."""
    demand_clean(scenario, Phase.FROZEN, but=LEFT_OUT | OPENIMS_STORE)


def test_nothing_else_is_reported(scenario: ScenarioRun) -> None:
    """Every finding and every inconclusive check has a planted fault behind it."""
    demand_rounds(scenario)


def test_accusations_explain_themselves(scenario: ScenarioRun) -> None:
    """Findings have both values, evidence and a next step, and show no secret; a check that holds states its coverage."""
    demand_explanations(scenario)


@pytest.mark.parametrize("fault_id", KNOWN_BY)
def test_absence_is_known_by_counter_and_by_witness(scenario: ScenarioRun, fault_id: str) -> None:
    """The finding says how it is known, and it is the technique that the fault tests."""
    known = known_by(scenario, fault_id)
    assert any(KNOWN_BY[fault_id] in how for how in known), known


def test_a_refused_attempt_is_noted(scenario: ScenarioRun) -> None:
    """After a rolled-back insert the check holds, with a note about the attempt."""
    outcomes = {outcome.check_id: outcome for outcome in scenario.rounds["frozen lookalike common"].result.outcomes}
    assert "aborted attempts: insert +1" in "\n".join(outcomes["GRP-01"].judgement.notes)


@pytest.mark.parametrize("check", ["CNV-01", "CNV-02", "CNV-04", "MSG-01", "MSG-02"])
def test_support_chat_is_counted_as_a_neighbour(scenario: ScenarioRun, check: str) -> None:
    """Writes of the support chat are not a breach, and the coverage counts them."""
    outcomes = {outcome.check_id: outcome for outcome in scenario.rounds["frozen lookalike common"].result.outcomes}
    assert "outside the scope, which do not count" in outcomes[check].coverage_text


@pytest.mark.parametrize("fault", faults_of("frozen", "decommissioned"), ids=lambda fault: fault.id)
def test_each_fault_is_answered(scenario: ScenarioRun, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, a look-alike by none."""
    demand(scenario, fault)
