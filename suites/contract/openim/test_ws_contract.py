"""The WebSocket of the OpenIM double, or of the server under test, behaves as the recorded ones did."""

from __future__ import annotations

import asyncio

import pytest

from suites.contract.openim.deviations import declared
from suites.contract.openim.parity import Row, ws_rows
from suites.contract.openim.plugin import keep_row, skip_older
from suites.contract.openim.server import Server
from suites.contract.openim.shared.recording_files import FIRST, NEWEST, RECORDINGS
from suites.contract.openim.ws import recording
from suites.contract.openim.ws.session_settings import sessions_with_settings

SESSIONS = {name: recording.load_of(name) for name in RECORDINGS}
Rows = dict[tuple[str, str], Row]


@pytest.fixture(scope="module")
def rows(openim: Server | None, request: pytest.FixtureRequest) -> Rows:
    """The rows of the selected sessions, which are played concurrently because they mostly wait."""
    if openim is not None and not openim.ws:
        pytest.skip("the WebSocket address of the server is not known: give --openim-ws")
    chosen = {_session_of(item) for item in request.session.items}
    found = {}
    for name in RECORDINGS if openim is None else (NEWEST,):
        sessions = [one for one in SESSIONS[name] if (name, one.name) in chosen]
        found.update({(name, row.name): row for row in asyncio.run(ws_rows(openim, sessions))})
    return found


def _session_of(item: pytest.Item) -> tuple[str, str] | None:
    if getattr(item, "originalname", "") != test_frames_are_the_recorded_ones.__name__:
        return None  # other tests of the run have parameters of the same names
    params = item.callspec.params  # type: ignore[attr-defined]  # every item of this test is parametrised
    return params["recorded"], params["session"]


@pytest.mark.timeout(900)  # a real server takes time: 60 s of silence, its presence, its database
@pytest.mark.parametrize(
    ("recorded", "session"), [(name, session.name) for name, sessions in SESSIONS.items() for session in sessions]
)
def test_frames_are_the_recorded_ones(
    recorded: str, session: str, openim: Server | None, rows: Rows, request: pytest.FixtureRequest
) -> None:
    """Every answer, push and end of a connection is as recorded, and none is missing or additional."""
    skip_older(openim, recorded)
    row = rows[recorded, session]
    keep_row(request, row, recorded)
    assert row.agrees, row.explanation()


def test_settings_and_deviations_name_recorded_sessions() -> None:
    """Settings and deviations refer to sessions that exist."""
    names = {session.name for session in SESSIONS[NEWEST]}
    assert set(sessions_with_settings()) <= names
    assert {one.flow for one in declared().entries if one.flow[:2].isdecimal()} <= names


def test_number_of_sessions() -> None:
    """49 sessions are replayed of each recording."""
    sizes = {name: (len(found), sum(len(one.lines) for one in found)) for name, found in SESSIONS.items()}
    assert sizes == {NEWEST: (49, 2748), FIRST: (49, 2666)}
