"""Another recording of a session, seen as a replay of this one: so two recordings are compared as a server is."""

from __future__ import annotations

import json
from typing import Any

from suites.contract.openim.ws.client import Frame, Handshake, Trace
from suites.contract.openim.ws.perform import Performed
from suites.contract.openim.ws.recording import Line, Session, Source, group_in
from suites.contract.openim.ws.symbols import TOKEN, Symbols, is_generated


def played(old: Session, new: Session) -> Performed:
    """What `new` shows, for the judge of `old`. Both hold the same client lines, in the same order."""
    symbols = Symbols(old, prefix="")
    symbols.started_ms = 0  # the other recording may be of any time
    performed = Performed(old, symbols)
    for token in TOKEN.findall(json.dumps([line.decoded for line in old.lines])):
        symbols.bind(token, token)
    for line, other in zip(_acted(old), _acted(new), strict=False):
        _take(performed, line, other)
    for line in new.lines:
        if line.source is Source.SERVER and line.conn in performed.traces:
            _seen(performed.traces[line.conn], line)
    return performed


def _acted(session: Session) -> list[Line]:
    """What the clients did, but for pongs: those that answer pings come when pings do."""
    return [line for line in session.lines if line.source in (Source.CLIENT, Source.REST) and line.kind != "pong"]


def _take(performed: Performed, line: Line, other: Line) -> None:
    if line.source is Source.REST:
        answer = other.decoded.get("response")
        performed.answers[line.number] = answer
        recorded, actual = group_in(line.decoded["response"]), group_in(answer)
        if recorded is not None and actual is not None:
            performed.symbols.bind(recorded, actual)
        return
    performed.sent[line.number] = other.raw
    if line.kind == "handshake":
        performed.traces[line.conn] = Trace()
    elif line.kind == "binary":
        _same_message(performed.symbols, _message(line), _message(other))


def _message(line: Line) -> dict[str, Any]:
    found = line.decoded.get("data_decoded") if isinstance(line.decoded, dict) else None
    return found if isinstance(found, dict) else {}


def _same_message(symbols: Symbols, recorded: dict[str, Any], actual: dict[str, Any]) -> None:
    """The ids and times that two clients gave the same message stand for each other."""
    one, other = recorded.get("clientMsgID", ""), actual.get("clientMsgID", "")
    if is_generated(one) and is_generated(other):
        symbols.bind(one, other)
    if "createTime" in recorded and "createTime" in actual:
        symbols.bind_time(f"client:{one}:{recorded['createTime']}", "createTime", actual["createTime"])


def _seen(trace: Trace, line: Line) -> None:
    at_s = line.t_ms / 1000
    if line.kind == "handshake":
        head, _, body = line.raw.partition(b"\r\n\r\n")
        pairs = (one.split(": ", 1) for one in head.decode("latin-1").split("\r\n")[1:])
        trace.handshake = Handshake(status=line.decoded["status"], headers=dict(pairs), body=body, raw=line.raw)
        trace.opened_at_s = at_s
    elif line.is_tcp_end:
        trace.end, trace.ended_at_s = line.decoded["tcp"], at_s
    else:
        trace.frames.append(Frame(kind=line.kind, payload=line.raw, at_s=at_s))
