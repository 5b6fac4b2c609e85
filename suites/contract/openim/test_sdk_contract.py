"""The recorded REST calls of published client SDKs get the recorded answers from the double, or the server under test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from suites.contract.openim.parity import SDK, CaseDifference, Row
from suites.contract.openim.plugin import keep_row
from suites.contract.openim.sdk import recording as sdk_recording
from suites.contract.openim.sdk.comparison import count_made
from suites.contract.openim.sdk.replay import SdkOutcome, deviations, run
from suites.contract.openim.sdk.target import SdkTarget, live_or_double
from suites.contract.openim.server import Server

CALLS = sdk_recording.load()


@pytest.fixture
def target(openim: Server | None, tmp_path: Path) -> Iterator[SdkTarget]:
    """The server under test, or a double in a process of its own."""
    with live_or_double(openim, tmp_path / "double.log") as found:
        yield found


@pytest.mark.timeout(900)  # a real server takes time
def test_answers_are_the_recorded_ones(target: SdkTarget, request: pytest.FixtureRequest) -> None:
    """All 202 calls, in order and with the steps on the WebSockets in between, except for declared deviations."""
    outcomes = run(target)
    declared = deviations()
    differing = [one for one in outcomes if one.differences]
    texts = tuple(CaseDifference(text=_text(one), reason=declared.get(one.call.number, "")) for one in differing)
    keep_row(request, Row(kind=SDK, name="published clients", cases=len(outcomes), differences=texts))
    wrong = [_text(outcome) for outcome in outcomes if outcome.differences and outcome.call.number not in declared]
    assert not wrong, "\n".join(wrong)
    if not target.is_double:
        return  # the list is about the double
    obsolete = [one.call.number for one in outcomes if not one.differences and one.call.number in declared]
    assert not obsolete, f"These deviations no longer occur; remove them from sdk_deviations.toml: {obsolete}"


def _text(outcome: SdkOutcome) -> str:
    call = outcome.call
    return f"call {call.number} of the {call.client} ({call.path}): {'; '.join(outcome.differences)}"


def test_number_of_values_that_are_bound() -> None:
    """42 answers are compared by value alone; in the other 160 the server makes 346 values, which are bound."""
    made_values = [count_made(sdk_recording.readable(call, call.response)) for call in CALLS]
    assert (len(CALLS), sum(not one for one in made_values), sum(made_values)) == (202, 42, 346)
    assert Counter(call.client for call in CALLS) == {"node-client": 105, "browser-client": 95, "python-client": 2}


def test_deviations_name_recorded_calls() -> None:
    """Deviations refer to calls that exist."""
    assert set(deviations()) <= {call.number for call in CALLS}


def test_steps_on_sockets_refer_to_calls_and_issued_tokens() -> None:
    """Each step is followed by a call, and the token of each step is issued before it."""
    issued = {call.response["data"]["token"]: call.number for call in CALLS if call.path == "/auth/get_user_token"}
    for step in sdk_recording.SOCKET_STEPS:
        assert issued[step.login] < step.before < len(CALLS)
