"""The OpenIM double, or the server that the options name, answers REST calls as the recorded one did."""

from __future__ import annotations

import asyncio

import pytest

from suites.contract.openim import recording
from suites.contract.openim.deviations import declared
from suites.contract.openim.parity import rest_row
from suites.contract.openim.plugin import keep_row
from suites.contract.openim.server import Server
from suites.contract.openim.told import refusal_of

CASES = recording.load()
FLOWS = recording.flows(CASES)


@pytest.mark.timeout(900)  # a real server is waited for as long as the recording did
@pytest.mark.parametrize("flow", FLOWS)
def test_answers_are_the_recorded_ones(flow: str, openim: Server | None, request: pytest.FixtureRequest) -> None:
    """Every case of a flow gets the recorded status and answer, except the deviations that are declared."""
    row = asyncio.run(rest_row(openim, flow, CASES))
    keep_row(request, row)
    assert row.agrees, refusal_of(row)


def test_deviations_name_recorded_flows() -> None:
    """A deviation of a flow or session that was never recorded is a slip."""
    assert {one.flow for one in declared().entries if not one.flow[:2].isdecimal()} <= set(FLOWS)


def test_all_is_replayed_but_the_declared_races() -> None:
    """664 of the 666 recorded cases are asserted."""
    asserted = [case for case in CASES if case.flow in FLOWS]
    assert (len(asserted), len(CASES)) == (664, 666)
