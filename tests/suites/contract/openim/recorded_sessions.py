"""Recorded sessions as results of a replay, for tests of the judge, and changes of such results."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from fixtures.clients.raw_websocket import Frame, Opcode
from fixtures.wire.openim_ws_pb2 import PushMessages
from suites.contract.openim.ws.judge import WsOutcome, judge
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.recorded_result import result_from_recording
from suites.contract.openim.ws.recording import Session, load
from suites.contract.openim.ws.session_settings import settings_of

SESSIONS = {session.number: session for session in load()}


def as_recorded(session: Session) -> SessionResult:
    """The result of a server that behaves exactly as the recorded one, with the recorded ids and times."""
    return result_from_recording(session, session)


def wrong(result: SessionResult) -> list[WsOutcome]:
    """The outcomes that differ."""
    return [one for one in judge(result, settings_of(result.session.name)) if one.differences]


def index_of(result: SessionResult, conn: str, text: str) -> int:
    """The index of the first frame of a connection that contains a text; JSON frames only."""
    return next(
        index for index, frame in enumerate(result.traces[conn].frames) if text in frame.payload.decode("latin-1")
    )


def rewrite(result: SessionResult, conn: str, text: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the envelope of the first JSON frame that contains a text."""
    frames = result.traces[conn].frames
    at = index_of(result, conn, text)
    envelope = json.loads(frames[at].payload)
    change(envelope)
    frames[at] = Frame(opcode=Opcode.BINARY, payload=json.dumps(envelope).encode(), at_s=frames[at].at_s)


def in_push(change: Callable[[Any, str], None]) -> Callable[[dict[str, Any]], None]:
    """A change of the messages of a push. It gets the map of conversations and the name of the first one."""

    def changed(envelope: dict[str, Any]) -> None:
        push = PushMessages.FromString(base64.b64decode(envelope["data"]))
        branch = push.msgs if push.msgs else push.notificationMsgs
        change(branch, next(iter(branch)))
        envelope["data"] = base64.b64encode(push.SerializeToString()).decode()

    return changed
