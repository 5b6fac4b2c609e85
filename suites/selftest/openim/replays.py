"""A recorded session as if a server had just behaved exactly so: what the judge must call equal, and changes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from fixtures.wire.openim_ws_pb2 import PushMessages
from suites.contract.openim.ws.client import Frame, Handshake, Trace
from suites.contract.openim.ws.frames import request_text
from suites.contract.openim.ws.judge import Outcome, judge
from suites.contract.openim.ws.notes import notes_on
from suites.contract.openim.ws.perform import Performed
from suites.contract.openim.ws.recording import Line, Session, Source, load
from suites.contract.openim.ws.symbols import TOKEN, Symbols

SESSIONS = {session.number: session for session in load()}
_RECORDED_MS = 1_795_461_000_000


def as_recorded(session: Session) -> Performed:
    """What a replay shows of a server that does what the recorded one did, with the recorded ids and times."""
    symbols = Symbols(session, prefix="")
    symbols.started_ms = _RECORDED_MS
    performed = Performed(session, symbols)
    for token in TOKEN.findall(json.dumps([line.decoded for line in session.lines])):
        symbols.bind(token, token)
    for line in session.lines:
        _take(performed, line)
    return performed


def _take(performed: Performed, line: Line) -> None:
    if line.source is Source.REST:
        performed.answers[line.number] = line.decoded["response"]
    elif line.source is Source.CLIENT:
        performed.sent[line.number] = line.raw
        if line.kind == "handshake":
            performed.traces[line.conn] = Trace()
        elif line.kind == "binary" and request_text(line.encoding, line.raw):
            _sent(performed, line)
    elif line.source is Source.SERVER:
        _seen(performed.traces[line.conn], line)


def _sent(performed: Performed, line: Line) -> None:
    data = line.decoded.get("data_decoded") or {}
    if "createTime" in data:
        owner = f"client:{data.get('clientMsgID', '')}:{data['createTime']}"
        performed.symbols.bind_time(owner, "createTime", data["createTime"])


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


def wrong(performed: Performed) -> list[Outcome]:
    """The outcomes that differ."""
    return [one for one in judge(performed, notes_on(performed.session.name)) if one.differences]


def index_of(performed: Performed, conn: str, text: str) -> int:
    """Where the first frame of a connection is that holds a text; JSON frames only."""
    return next(
        index for index, frame in enumerate(performed.traces[conn].frames) if text in frame.payload.decode("latin-1")
    )


def rewrite(performed: Performed, conn: str, text: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the envelope of the first JSON frame that holds a text."""
    frames = performed.traces[conn].frames
    at = index_of(performed, conn, text)
    envelope = json.loads(frames[at].payload)
    change(envelope)
    frames[at] = Frame(kind="binary", payload=json.dumps(envelope).encode(), at_s=frames[at].at_s)


def in_push(change: Callable[[Any, str], None]) -> Callable[[dict[str, Any]], None]:
    """A change of a push's messages: it gets the map of conversations and the name of the first one."""

    def changed(envelope: dict[str, Any]) -> None:
        push = PushMessages.FromString(base64.b64decode(envelope["data"]))
        branch = push.msgs if push.msgs else push.notificationMsgs
        change(branch, next(iter(branch)))
        envelope["data"] = base64.b64encode(push.SerializeToString()).decode()

    return changed
