"""A REST case with alternatives may be answered as any recording does, and not otherwise."""

from __future__ import annotations

import asyncio

import pytest

from fixtures.openim.errors import Fault
from fixtures.openim.rest.routes import extra
from suites.contract.openim.parity import rest_row
from suites.contract.openim.rest import alternatives, recording
from suites.contract.openim.shared.recording_files import FIRST, NEWEST

FLOW = "other"


def test_the_answer_of_another_recording_is_accepted_with_its_reason() -> None:
    """The double has no object storage, as the first recorded server; the second had one."""
    row = asyncio.run(rest_row(None, FLOW, recording.load_of(NEWEST)))
    (difference,) = row.differences
    assert (
        difference.reason == f"as in the recording of {FIRST}: depends on whether object storage is configured [F129]"
    )
    assert row.agrees


def test_an_answer_that_was_never_recorded_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same case with another errCode is not accepted in place of either recording."""
    monkeypatch.setattr(extra, "Fault", lambda _code, text: Fault(1004, text))
    for name in (NEWEST, FIRST):
        row = asyncio.run(rest_row(None, FLOW, recording.load_of(name)))
        assert [one.text.split(" ")[0] for one in row.differences if not one.reason] == ["object-part-limit-no-storage"]


def test_a_case_without_an_entry_has_no_alternatives() -> None:
    """Only listed cases are compared with other recordings."""
    cases = {case.case: case for case in recording.load_of(NEWEST)}
    assert [name for name, case in cases.items() if list(alternatives.alternatives_of(case))] == [
        name for name in cases if name in alternatives.reasons()
    ]
