"""`python -m suites.contract.openim`: recording anew, comparing recordings, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from fixtures.services.openim_double import ADMIN, SECRET, running
from suites.contract.openim import __main__ as command
from suites.contract.openim.deviations import Deviation, Deviations
from suites.contract.openim.parity import Parity, deviations_for, row_of
from suites.contract.openim.plugin import server_of
from suites.contract.openim.record import record_ws
from suites.contract.openim.render import write_junit
from suites.contract.openim.rest import recording
from suites.contract.openim.rest.recorder import record_rest
from suites.contract.openim.server import DEFAULT_SECRET, Server
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.recorded_result import result_from_recording
from suites.contract.openim.ws.replay import opener, replay_all
from tests.suites.contract.openim.recorded_sessions import SESSIONS, wrong

_JWT_START = "eyJhbGciOiJ"
FLOW, NUMBERS = "account-check", ("07", "14", "30", "32", "41", "45")


def _cut(directory: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """A recording of one flow and one session, each line changed."""
    directory.mkdir()
    for path, keep in ((recording.RECORDING, '"flow": "boot"'), (ws_recording.RECORDING, '"session":"10-')):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            kept = [json.loads(line) for line in lines if keep in line]
        for row in kept:
            change(row)
        text = "".join(json.dumps(row) + "\n" for row in kept)
        (directory / path.name.removesuffix(".gz")).write_text(text, encoding="utf-8")
    return directory


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the command; gives exit code and everything said."""
    for name in ("OPENIM_API", "OPENIM_WS", "OPENIM_SECRET", "OPENIM_ADMIN"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["contract", *arguments])
        code = command.main()
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_recording_made_anew_is_replayed_as_well() -> None:
    """Ids of groups, tokens, exact lengths, gob: what is written can be played, and holds neither tokens nor secrets."""
    sessions = [SESSIONS[number] for number in NUMBERS]
    rows = asyncio.run(record_ws(None, sessions))
    text = json.dumps(rows) + "".join(base64.b64decode(row.get("raw_base64", "")).decode("latin-1") for row in rows)
    assert _JWT_START not in text
    assert DEFAULT_SECRET not in text
    anew = ws_recording.sessions_of(rows)
    assert [session.users for session in anew] == [session.users for session in sessions]
    found = asyncio.run(replay_all(anew, opener(None)))
    assert [one.text for outcomes in found.values() for one in outcomes if one.differences] == []


def test_a_live_server_is_recorded_over_its_sockets(tmp_path: Path) -> None:
    """In real time, over HTTP and TCP: a client would notice no difference to the recording."""
    with running(tmp_path / "log") as double:
        server = Server(api=double.api_url, ws=double.ws_url, secret=SECRET, admin=ADMIN)
        rows = asyncio.run(record_ws(server, [SESSIONS["29"], SESSIONS["37"]]))
    assert SECRET not in json.dumps(rows)
    anew = ws_recording.sessions_of(rows)
    assert [one for session in anew for one in wrong(result_from_recording(SESSIONS[session.number], session))] == []


def test_rest_recorded_anew_is_the_recording() -> None:
    """With the same symbols and forms, but for what is volatile."""
    cases = [case for case in recording.load() if case.flow in ("boot", FLOW)]
    anew = asyncio.run(record_rest(None, recording.load()))
    by_name = {case.case: case for case in anew}
    assert _JWT_START not in json.dumps([asdict(case) for case in anew])
    for case in cases:
        assert by_name[case.case].response == case.response or case.volatile or "$truncated" in str(case.response)


def test_the_same_recording_is_no_difference(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    """Exit 0, and a sentence."""
    one = _cut(tmp_path / "one")
    code, said = run("diff", str(one), str(one))
    assert (code, "notice nothing" in said) == (0, True)


def _error_code(row: dict[str, Any]) -> None:
    if row.get("case") and isinstance(row["response"], dict):
        row["response"]["errCode"] = 77


def _status(row: dict[str, Any]) -> None:
    if row.get("case"):
        row["status"] = 418


def _no_close(row: dict[str, Any]) -> None:
    if row.get("kind") == "close" and row["from"] == "server" and "code" in row["decoded"]:
        row["raw_base64"] = "A+k="


def _no_session(row: dict[str, Any]) -> None:
    if row.get("session"):
        row["session"] = "99-another"


@pytest.mark.parametrize(
    ("change", "told"),
    [(_error_code, "errCode = 77"), (_status, "HTTP 418"), (_no_close, "close (line"), (_no_session, "is new")],
)
def test_what_a_client_would_notice_is_printed(
    tmp_path: Path, run: Callable[..., tuple[int, str]], change: Callable[[dict[str, Any]], None], told: str
) -> None:
    """Exit 1, and each difference with its case or session."""
    code, said = run("diff", str(_cut(tmp_path / "old")), str(_cut(tmp_path / "new", change)))
    assert code == 1
    assert told in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "--openim-api", "http://127.0.0.1:1"], "cannot be reached"),
        (["replay", "--openim-api", "nowhere"], "is no REST address"),
        (["replay", "--openim-ws", "ws://127.0.0.1:1"], "users are made over REST"),
        (["diff", "/nowhere", "double"], "there is no /nowhere"),
        (["diff", __file__, __file__], "is no recording"),
        (["diff", str(Path(__file__).parent), "double"], "holds neither"),
        (["record"], "--out"),
        (["compare"], "No such command"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    run: Callable[..., tuple[int, str]], arguments: list[str], sentence: str
) -> None:
    """Exit 3, the cause, no traceback."""
    code, said = run(*arguments)
    assert code == 3
    assert sentence in said
    assert "Traceback" not in said


def test_a_live_server_is_looked_at_first(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    """A wrong secret and a port that is no gateway are told before anything is replayed; the secret is not."""
    with running(tmp_path / "log") as double:
        wrong = run("replay", "--openim-api", double.api_url, "--openim-secret", "a-wrong-one")
        other = run("replay", "--openim-api", double.api_url, "--openim-ws", double.api_url, "--openim-secret", SECRET)
    assert wrong[0] == other[0] == 3
    assert "Check the secret" in wrong[1]
    assert "not as OpenIM's message gateway does" in other[1]
    assert "a-wrong-one" not in wrong[1] + other[1]


@pytest.fixture
def deviations() -> Deviations:
    """One that occurs, and one that does not."""
    return Deviations((Deviation("f", "errCode", "known"), Deviation("f", "status", "gone")))


def test_declared_deviations_are_strict(deviations: Deviations) -> None:
    """A declared difference is accepted; one that no longer occurs, or that nobody declared, is not."""
    row = row_of("REST", "f", ["", "a: errCode = 1"], deviations)
    assert (row.cases, row.equal, row.deviating, row.wrong) == (2, 1, 1, 0)
    assert [one.reason for one in row.obsolete] == ["gone"]
    assert not row.agrees
    assert row_of("REST", "f", ["a: errCode", "b: status"], deviations).agrees
    assert not row_of("REST", "f", ["a: errCode", "b: status", "c: more"], deviations).agrees


def test_tokens_are_not_told() -> None:
    """A difference may lie in a token; the report does not need it."""
    (difference,) = row_of("REST", "f", ["a: $.token = eyJhbGciOiJI.eyJVc2V.abc-_d"], Deviations()).differences
    assert difference.text == "a: $.token = <token>"


def test_a_live_server_is_excused_for_chance_alone() -> None:
    """What the recorded server suffered may be absent in another one, which nobody calls healed; no more than that."""
    excuses = deviations_for(Server(api="http://host"))
    assert excuses.reason("15-offline-then-pull", "b answer 1007 'b-13' (line 49): $.data.msgs was not recorded")
    assert excuses.reason("15-offline-then-pull", "b answer 1002 'b-3' (line 25): is missing") is None
    assert excuses.obsolete("15-offline-then-pull", []) == []
    assert deviations_for(None).strict


def test_options_and_environment_name_the_server(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Neither: the double. The environment alone: that server, with the defaults of OpenIM."""
    for name in ("OPENIM_API", "OPENIM_WS", "OPENIM_SECRET", "OPENIM_ADMIN"):
        monkeypatch.delenv(name, raising=False)
    assert server_of(request.config) is None
    monkeypatch.setenv("OPENIM_API", "http://host:10002")
    monkeypatch.setenv("OPENIM_SECRET", "s3cret")
    server = server_of(request.config)
    assert server is not None
    assert (server.api, server.secret, server.admin, server.gateway()) == (
        "http://host:10002",
        "s3cret",
        "imAdmin",
        None,
    )
    assert "s3cret" not in repr(server)


def test_junit_names_what_differs(tmp_path: Path, deviations: Deviations) -> None:
    """A test case for each row, readable whatever bytes a server answered with."""
    rows = (row_of("REST", "f", ["a: errCode \x00"], deviations), row_of("WebSocket", "g", [""], deviations))
    write_junit(Parity(server="s", rows=rows), tmp_path / "junit.xml")
    root = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - our own
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert "no longer occurs" in str(root.findtext("testcase/failure"))
