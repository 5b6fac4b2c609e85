"""The OpenIM double, or the server that the options name, behaves on its WebSocket as the recorded one did."""

from __future__ import annotations

import asyncio

import pytest

from suites.contract.openim.deviations import declared
from suites.contract.openim.parity import Row, ws_rows
from suites.contract.openim.plugin import keep_row
from suites.contract.openim.server import Server
from suites.contract.openim.told import refusal_of
from suites.contract.openim.ws import recording
from suites.contract.openim.ws.notes import named

SESSIONS = recording.load()


@pytest.fixture(scope="module")
def rows(openim: Server | None, request: pytest.FixtureRequest) -> dict[str, Row]:
    """The sessions that were asked for, played side by side: what takes long is waiting."""
    if openim is not None and not openim.ws:
        pytest.skip("the server's WebSocket address is not known: name it with --openim-ws")
    chosen = {_session_of(item) for item in request.session.items}
    return {row.name: row for row in asyncio.run(ws_rows(openim, [one for one in SESSIONS if one.name in chosen]))}


def _session_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("session")


@pytest.mark.timeout(900)  # a real server is waited for: 60 s of silence, and presence, and its store
@pytest.mark.parametrize("session", [session.name for session in SESSIONS])
def test_frames_are_the_recorded_ones(session: str, rows: dict[str, Row], request: pytest.FixtureRequest) -> None:
    """Every answer, push and ending is as recorded, none is missing and none more, but for declared deviations."""
    row = rows[session]
    keep_row(request, row)
    assert row.agrees, refusal_of(row)


def test_notes_and_deviations_name_recorded_sessions() -> None:
    """A note or deviation of a session that was never recorded is a slip."""
    names = {session.name for session in SESSIONS}
    assert set(named()) <= names
    assert {one.flow for one in declared().entries if one.flow[:2].isdecimal()} <= names


def test_all_sessions_are_played() -> None:
    """49 sessions with 2 666 lines; each line of the server's is compared."""
    assert (len(SESSIONS), sum(len(session.lines) for session in SESSIONS)) == (49, 2666)
