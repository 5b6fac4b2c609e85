"""Turning another recording of a session into the result of a replay, so that two recordings can be compared."""

from __future__ import annotations

import json
from typing import Any

from fixtures.clients.raw_websocket import Frame, Handshake, Opcode
from suites.contract.openim.shared.traced_connection import Trace
from suites.contract.openim.ws.bindings import TOKEN, SessionBindings, is_generated
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.recording import Line, Session, Source, group_in


def result_from_recording(old: Session, new: Session) -> SessionResult:
    """What `new` shows, as if `old` had been replayed. Both have the same client lines in the same order."""
    bindings = SessionBindings(old, prefix="")
    bindings.started_ms = 0  # the other recording may be of any time
    result = SessionResult(old, bindings)
    for token in TOKEN.findall(json.dumps([line.decoded for line in old.lines])):
        bindings.bind(token, token)
    for line, other in zip(_client_lines(old), _client_lines(new), strict=False):
        _add_client_line(result, line, other)
    for line in new.lines:
        if line.source is Source.SERVER and line.conn in result.traces:
            _add_server_line(result.traces[line.conn], line)
    return result


def _client_lines(session: Session) -> list[Line]:
    """What the clients did, without pongs: those that answer pings come when pings do."""
    return [line for line in session.lines if line.source in (Source.CLIENT, Source.REST) and line.kind != "pong"]


def _add_client_line(result: SessionResult, line: Line, other: Line) -> None:
    if line.source is Source.REST:
        answer = other.decoded.get("response")
        result.answers[line.number] = answer
        recorded, actual = group_in(line.decoded["response"]), group_in(answer)
        if recorded is not None and actual is not None:
            result.bindings.bind(recorded, actual)
        return
    result.sent[line.number] = other.raw
    if line.kind == "handshake":
        result.traces[line.conn] = Trace()
    elif line.kind == "binary":
        _bind_message(result.bindings, _message(line), _message(other))


def _message(line: Line) -> dict[str, Any]:
    found = line.decoded.get("data_decoded") if isinstance(line.decoded, dict) else None
    return found if isinstance(found, dict) else {}


def _bind_message(bindings: SessionBindings, recorded: dict[str, Any], actual: dict[str, Any]) -> None:
    """Bind the ids and times that the clients of the two recordings gave the same message."""
    one, other = recorded.get("clientMsgID", ""), actual.get("clientMsgID", "")
    if is_generated(one) and is_generated(other):
        bindings.bind(one, other)
    if "createTime" in recorded and "createTime" in actual:
        bindings.bind_time(f"client:{one}:{recorded['createTime']}", "createTime", actual["createTime"])


def _add_server_line(trace: Trace, line: Line) -> None:
    at_s = line.t_ms / 1000
    if line.kind == "handshake":
        head, _, body = line.raw.partition(b"\r\n\r\n")
        pairs = (one.split(": ", 1) for one in head.decode("latin-1").split("\r\n")[1:])
        trace.handshake = Handshake(status=line.decoded["status"], headers=dict(pairs), body=body, raw=line.raw)
        trace.opened_at_s = at_s
    elif line.is_tcp_end:
        trace.end, trace.ended_at_s = line.decoded["tcp"], at_s
    else:
        trace.frames.append(Frame(opcode=Opcode[line.kind.upper()], payload=line.raw, at_s=at_s))
