"""A recorded session as if a server had just behaved exactly so: what the judge must call equal, and changes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from fixtures.wire.openim_ws_pb2 import PushMessages
from suites.contract.openim.ws.client import Frame
from suites.contract.openim.ws.judge import Outcome, judge
from suites.contract.openim.ws.notes import notes_on
from suites.contract.openim.ws.perform import Performed
from suites.contract.openim.ws.played import played
from suites.contract.openim.ws.recording import Session, load

SESSIONS = {session.number: session for session in load()}


def as_recorded(session: Session) -> Performed:
    """What a replay shows of a server that does what the recorded one did, with the recorded ids and times."""
    return played(session, session)


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
