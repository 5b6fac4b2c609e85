"""The OpenIM double, or the server under test, answers REST calls as the recorded servers did."""

from __future__ import annotations

import asyncio

import pytest

from suites.contract.openim.deviations import declared
from suites.contract.openim.parity import rest_row
from suites.contract.openim.plugin import keep_row, skip_older
from suites.contract.openim.rest import alternatives, recording
from suites.contract.openim.server import Server
from suites.contract.openim.shared.recording_files import FIRST, NEWEST, RECORDINGS

CASES = {name: recording.load_of(name) for name in RECORDINGS}
FLOWS = {name: recording.flows(cases) for name, cases in CASES.items()}


@pytest.mark.timeout(900)  # a real server takes as long as the recording
@pytest.mark.parametrize(("recorded", "flow"), [(name, flow) for name, flows in FLOWS.items() for flow in flows])
def test_answers_are_the_recorded_ones(
    recorded: str, flow: str, openim: Server | None, request: pytest.FixtureRequest
) -> None:
    """Every case of a flow gets the recorded status and answer, except for declared deviations and alternatives."""
    skip_older(openim, recorded)
    row = asyncio.run(rest_row(openim, flow, CASES[recorded]))
    keep_row(request, row, recorded)
    assert row.agrees, row.explanation()


def test_deviations_name_recorded_flows() -> None:
    """Deviations refer to flows that exist."""
    assert {one.flow for one in declared().entries if not one.flow[:2].isdecimal()} <= set(FLOWS[NEWEST])


def test_cases_with_alternatives_were_answered_in_different_ways() -> None:
    """A case with alternatives is in the recordings with more than one answer; otherwise its entry is obsolete."""
    newest = {case.case: case for case in CASES[NEWEST]}
    assert [name for name in alternatives.reasons() if not list(alternatives.alternatives_of(newest[name]))] == []


def test_number_of_cases() -> None:
    """664 cases are asserted in each recording; the two others of the first contain a race."""
    asserted = {name: sum(case.flow in FLOWS[name] for case in cases) for name, cases in CASES.items()}
    assert asserted == {NEWEST: 664, FIRST: 664}
    assert {name: len(cases) for name, cases in CASES.items()} == {NEWEST: 664, FIRST: 666}
