"""The WebSocket of the OpenIM double, or of the server under test, behaves as the recorded one did."""

from __future__ import annotations

import asyncio

import pytest

from suites.contract.openim.deviations import declared
from suites.contract.openim.parity import Row, ws_rows
from suites.contract.openim.plugin import keep_row
from suites.contract.openim.server import Server
from suites.contract.openim.ws import recording
from suites.contract.openim.ws.session_settings import sessions_with_settings

SESSIONS = recording.load()


@pytest.fixture(scope="module")
def rows(openim: Server | None, request: pytest.FixtureRequest) -> dict[str, Row]:
    """The rows of the selected sessions, which are played concurrently because they mostly wait."""
    if openim is not None and not openim.ws:
        pytest.skip("the WebSocket address of the server is not known: give --openim-ws")
    chosen = {_session_of(item) for item in request.session.items}
    return {row.name: row for row in asyncio.run(ws_rows(openim, [one for one in SESSIONS if one.name in chosen]))}


def _session_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("session")


@pytest.mark.timeout(900)  # a real server takes time: 60 s of silence, its presence, its database
@pytest.mark.parametrize("session", [session.name for session in SESSIONS])
def test_frames_are_the_recorded_ones(session: str, rows: dict[str, Row], request: pytest.FixtureRequest) -> None:
    """Every answer, push and end of a connection is as recorded, and none is missing or additional."""
    row = rows[session]
    keep_row(request, row)
    assert row.agrees, row.explanation()


def test_settings_and_deviations_name_recorded_sessions() -> None:
    """Settings and deviations refer to sessions that exist."""
    names = {session.name for session in SESSIONS}
    assert set(sessions_with_settings()) <= names
    assert {one.flow for one in declared().entries if one.flow[:2].isdecimal()} <= names


def test_number_of_sessions() -> None:
    """49 sessions with 2 666 lines are replayed."""
    assert (len(SESSIONS), sum(len(session.lines) for session in SESSIONS)) == (49, 2666)
