"""Recording a server: a new recording can be replayed, equals the recorded server, and contains no secrets."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from fixtures.services.openim_double import ADMIN, SECRET, running_double
from suites.contract.openim.record import record_ws
from suites.contract.openim.server import DEFAULT_SECRET, Server
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.recorded_result import result_from_recording
from suites.contract.openim.ws.replay import judge_all, opener
from tests.suites.contract.openim.recorded_sessions import SESSIONS, wrong

pytestmark = pytest.mark.long

_JWT_START = "eyJhbGciOiJ"
NUMBERS = ("07", "14", "30", "32", "41", "45")


def test_a_new_recording_can_be_replayed() -> None:
    """Sessions with groups, tokens, exact lengths and gob can be replayed from a new recording, which has no secrets."""
    sessions = [SESSIONS[number] for number in NUMBERS]
    rows = asyncio.run(record_ws(None, sessions))
    text = json.dumps(rows) + "".join(base64.b64decode(row.get("raw_base64", "")).decode("latin-1") for row in rows)
    assert _JWT_START not in text
    assert DEFAULT_SECRET not in text
    recorded = ws_recording.sessions_of(rows)
    assert [session.users for session in recorded] == [session.users for session in sessions]
    found = asyncio.run(judge_all(recorded, opener(None)))
    different = [(one.text, judged) for judged in found.values() for one in judged.outcomes if one.differences]
    assert [text for text, judged in different if text not in judged.accepted] == []


def test_a_live_server_is_recorded_over_its_sockets(tmp_path: Path) -> None:
    """A double in another process, recorded in real time, does not differ from the recording."""
    with running_double(tmp_path / "log") as double:
        server = Server(api=double.api_url, ws=double.ws_url, secret=SECRET, admin=ADMIN)
        rows = asyncio.run(record_ws(server, [SESSIONS["29"], SESSIONS["37"]]))
    assert SECRET not in json.dumps(rows)
    recorded = ws_recording.sessions_of(rows)
    assert [
        one for session in recorded for one in wrong(result_from_recording(SESSIONS[session.number], session))
    ] == []
