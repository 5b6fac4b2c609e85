"""What published client SDKs asked of the recorded server gets the same answers from the double, or from OPENIM_API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from suites.contract.openim import sdk_recording
from suites.contract.openim.parity import Difference, Row
from suites.contract.openim.plugin import keep_row
from suites.contract.openim.sdk_match import made
from suites.contract.openim.sdk_replay import SdkOutcome, deviations, run
from suites.contract.openim.sdk_target import SdkTarget, named_or_double
from suites.contract.openim.server import Server

CALLS = sdk_recording.load()


@pytest.fixture
def target(openim: Server | None, tmp_path: Path) -> Iterator[SdkTarget]:
    """The named server, else a double in a process of its own."""
    with named_or_double(openim, tmp_path / "double.log") as found:
        yield found


@pytest.mark.timeout(900)  # a real server is waited for
def test_answers_are_the_recorded_ones(target: SdkTarget, request: pytest.FixtureRequest) -> None:
    """All 202 calls, in order, with their sockets' steps in between, except the deviations that are declared."""
    outcomes = run(target)
    declared = deviations()
    differing = [one for one in outcomes if one.differences]
    told = tuple(Difference(told=_told(one), reason=declared.get(one.call.number, "")) for one in differing)
    keep_row(request, Row(kind="SDK", name="published clients", cases=len(outcomes), differences=told))
    wrong = [_told(outcome) for outcome in outcomes if outcome.differences and outcome.call.number not in declared]
    assert not wrong, "\n".join(wrong)
    if not target.is_double:
        return  # the list is about the double; another server may well be better
    healed = [one.call.number for one in outcomes if not one.differences and one.call.number in declared]
    assert not healed, f"These deviations no longer occur; take them out of sdk_deviations.toml: {healed}"


def _told(outcome: SdkOutcome) -> str:
    call = outcome.call
    return f"call {call.number} of the {call.client} ({call.path}): {'; '.join(outcome.differences)}"


def test_how_the_answers_are_compared() -> None:
    """42 answers by value alone; in 160 some values are the server's, 346 in all, and bound; none by shape."""
    made_values = [made(sdk_recording.readable(call, call.response)) for call in CALLS]
    assert (len(CALLS), sum(not one for one in made_values), sum(made_values)) == (202, 42, 346)
    assert Counter(call.client for call in CALLS) == {"node-client": 105, "browser-client": 95, "python-client": 2}


def test_deviations_name_recorded_calls() -> None:
    """A deviation of a call that was never recorded is a slip."""
    assert set(deviations()) <= {call.number for call in CALLS}


def test_steps_on_sockets_stand_before_calls_and_name_tokens_of_users() -> None:
    """A step that no call follows, or with a token that nobody got before it, would never be taken, or fail."""
    issued = {call.response["data"]["token"]: call.number for call in CALLS if call.path == "/auth/get_user_token"}
    for step in sdk_recording.SOCKETS:
        assert issued[step.login] < step.before < len(CALLS)
