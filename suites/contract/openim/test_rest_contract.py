"""The OpenIM double, or the server under test, answers REST calls as the recorded server did."""

from __future__ import annotations

import asyncio

import pytest

from suites.contract.openim.deviations import declared
from suites.contract.openim.parity import rest_row
from suites.contract.openim.plugin import keep_row
from suites.contract.openim.rest import recording
from suites.contract.openim.server import Server

CASES = recording.load()
FLOWS = recording.flows(CASES)


@pytest.mark.timeout(900)  # a real server takes as long as the recording
@pytest.mark.parametrize("flow", FLOWS)
def test_answers_are_the_recorded_ones(flow: str, openim: Server | None, request: pytest.FixtureRequest) -> None:
    """Every case of a flow gets the recorded status and answer, except for declared deviations."""
    row = asyncio.run(rest_row(openim, flow, CASES))
    keep_row(request, row)
    assert row.agrees, row.explanation()


def test_deviations_name_recorded_flows() -> None:
    """Deviations refer to flows that exist."""
    assert {one.flow for one in declared().entries if not one.flow[:2].isdecimal()} <= set(FLOWS)


def test_number_of_cases() -> None:
    """664 of the 666 recorded cases are asserted; the others contain a race."""
    asserted = [case for case in CASES if case.flow in FLOWS]
    assert (len(asserted), len(CASES)) == (664, 666)
