"""A session may show what another recording of it shows in the listed places, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fixtures.openim.model import messages
from suites.contract.openim.parity import Row, ws_rows
from suites.contract.openim.shared.recording_files import FIRST, NEWEST
from suites.contract.openim.ws.judge import judge
from suites.contract.openim.ws.recorded_result import result_from_recording
from suites.contract.openim.ws.recording import load_of
from suites.contract.openim.ws.session_settings import sessions_with_settings, settings_of

OLD, NEW = ({session.name: session for session in load_of(name)} for name in (FIRST, NEWEST))
SLOW_STORE = "48-mark-read-slow-store"
LISTED = [(name, one.what) for name in sessions_with_settings() for one in settings_of(name).alternatives]


def _with_a_quick_store(name: str) -> Row:
    """Play a session of the slow server to a double whose store is quick."""
    (row,) = asyncio.run(ws_rows(None, [replace(OLD[name], recording="")]))
    return row


@pytest.mark.parametrize("name", [SLOW_STORE, "49-revoke-slow-store", "44-push-race-after-connect", "31-group-refused"])
def test_what_another_recording_shows_is_accepted_with_its_reason(name: str) -> None:
    """The double behaves as the second recorded server, and each difference from the first is accepted for that."""
    row = _with_a_quick_store(name)
    assert row.agrees, row.explanation()
    assert row.differences
    assert all(one.reason.startswith(f"as in the recording of {NEWEST}: ") for one in row.differences)


def test_what_no_recording_shows_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages with a status that neither recording has in this answer are not accepted."""
    monkeypatch.setattr(messages, "from_database", lambda message: replace(message, status=3))
    row = _with_a_quick_store(SLOW_STORE)
    assert ["answer 1002" in one.text for one in row.differences if not one.reason] == [True]


@pytest.mark.parametrize(("name", "what"), LISTED)
def test_listed_differences_are_between_the_recordings(name: str, what: str) -> None:
    """An entry that no difference between the recordings needs is obsolete."""
    found = judge(result_from_recording(OLD[name], NEW[name]), settings_of(name))
    back = judge(result_from_recording(NEW[name], OLD[name]), settings_of(name))
    assert any(what in one.text for one in (*found, *back) if one.differences)
