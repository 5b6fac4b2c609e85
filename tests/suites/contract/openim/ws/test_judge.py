"""The judge of WebSocket sessions finds a recorded session equal, and reports each change of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fixtures.clients.raw_websocket import Frame, Opcode
from suites.contract.openim.ws.player import SessionResult
from tests.suites.contract.openim.recorded_sessions import SESSIONS, as_recorded, in_push, index_of, rewrite, wrong

pytestmark = pytest.mark.long

_PLACES = 5


@pytest.mark.parametrize("number", SESSIONS)
def test_the_recording_equals_itself(number: str) -> None:
    """The recorded behaviour of the real server breaks no rule of the judge."""
    assert wrong(as_recorded(SESSIONS[number])) == []


@pytest.mark.parametrize("number", SESSIONS)
def test_a_lost_or_duplicated_frame_is_reported(number: str) -> None:
    """Answers, pushes, texts, pongs and close frames, at positions spread over the session."""
    session = SESSIONS[number]
    places = [
        (conn, index)
        for conn, trace in as_recorded(session).traces.items()
        for index, frame in enumerate(trace.frames)
        if frame.kind != "ping"
    ]
    for conn, index in places[:: max(1, len(places) // _PLACES)]:
        lost, doubled = as_recorded(session), as_recorded(session)
        del lost.traces[conn].frames[index]
        doubled.traces[conn].frames.insert(index, doubled.traces[conn].frames[index])
        assert wrong(lost), f"losing frame {index} of {conn}"
        assert wrong(doubled), f"doubling frame {index} of {conn}"


def _swap(conn: str, one: str, other: str) -> Callable[[SessionResult], None]:
    def change(result: SessionResult) -> None:
        frames = result.traces[conn].frames
        first, second = index_of(result, conn, one), index_of(result, conn, other)
        frames[first], frames[second] = frames[second], frames[first]

    return change


def _envelope(conn: str, text: str, **fields: Any) -> Callable[[SessionResult], None]:
    return lambda result: rewrite(result, conn, text, lambda envelope: envelope.update(fields))


def _without(conn: str, text: str, field: str) -> Callable[[SessionResult], None]:
    def drop(envelope: dict[str, Any]) -> None:
        del envelope[field]

    return lambda result: rewrite(result, conn, text, drop)


def _push(conn: str, text: str, change: Callable[[Any, str], None]) -> Callable[[SessionResult], None]:
    return lambda result: rewrite(result, conn, text, in_push(change))


def _set(**fields: Any) -> Callable[[Any, str], None]:
    def change(conversations: Any, name: str) -> None:
        for field, value in fields.items():
            setattr(conversations[name].Msgs[0], field, value)

    return change


def _rename(conversations: Any, name: str) -> None:
    prefix, first, second = name.split("_")
    conversations[f"{prefix}_{second}_{first}"].CopyFrom(conversations[name])
    del conversations[name]


def _end(conn: str, end: str) -> Callable[[SessionResult], None]:
    return lambda result: setattr(result.traces[conn], "end", end)


def _close_code(conn: str, code: bytes) -> Callable[[SessionResult], None]:
    return lambda result: result.traces[conn].frames.append(Frame(opcode=Opcode.CLOSE, payload=code, at_s=0))


def _handshake(conn: str, **fields: Any) -> Callable[[SessionResult], None]:
    def change(result: SessionResult) -> None:
        trace = result.traces[conn]
        assert trace.handshake is not None
        trace.handshake = replace(trace.handshake, **fields)

    return change


def _header(conn: str, name: str, value: str) -> Callable[[SessionResult], None]:
    def change(result: SessionResult) -> None:
        handshake = result.traces[conn].handshake
        assert handshake is not None
        handshake.headers[name] = value

    return change


def _late(conn: str, seconds: float) -> Callable[[SessionResult], None]:
    def change(result: SessionResult) -> None:
        result.traces[conn].ended_at_s += seconds

    return change


def _odd(conn: str) -> Callable[[SessionResult], None]:
    def change(result: SessionResult) -> None:
        frames = result.traces[conn].frames
        frames[0] = replace(frames[0], oddity="masked")

    return change


CHANGES: dict[str, tuple[str, Callable[[SessionResult], None]]] = {
    "an answer with another errCode": ("10", _envelope("a", '"msgIncr":"a-1"', errCode=1001)),
    "an answer without its operationID": ("10", _without("a", '"msgIncr":"a-1"', "operationID")),
    "an answer whose msgIncr is a number": ("10", _envelope("a", '"msgIncr":"a-1"', msgIncr=1)),
    "an answer with an additional field": ("10", _envelope("a", '"msgIncr":"a-1"', errDlt="")),
    "null instead of empty data": ("13", _envelope("a", '"reqIdentifier":1001', data=None)),
    "a push without the operationID of its cause": ("10", _envelope("a", '"reqIdentifier":2001', operationID="")),
    "a push whose status is still 1": ("10", _push("a", '"reqIdentifier":2001', _set(status=1))),
    "a push with the next seq": ("10", _push("b", '"reqIdentifier":2001', _set(seq=2))),
    "a push of another message": ("10", _push("b", '"reqIdentifier":2001', _set(serverMsgID="0" * 31 + "1"))),
    "a push with another time": ("10", _push("b", '"reqIdentifier":2001', _set(sendTime=1_795_461_033_999))),
    "a push of another text": ("10", _push("b", '"reqIdentifier":2001', _set(content=b'{"content":"hello"}'))),
    "a push with an option": ("10", _push("b", '"reqIdentifier":2001', _set(isRead=True))),
    "a conversationID with the users exchanged": ("10", _push("b", '"reqIdentifier":2001', _rename)),
    "two answers in exchanged order": ("35", _swap("a", '"msgIncr":"r001"', '"msgIncr":"r002"')),
    "two pushes in exchanged order": ("35", _swap("b", '"operationID":"op-a-7"', '"operationID":"op-a-8"')),
    "a notification before its message in the chat": ("14", lambda result: result.traces["a"].frames.reverse()),
    "a close code instead of a plain end": ("20", _close_code("a0", b"\x03\xea")),
    "a connection that is not ended": ("20", _end("a0", "dropped")),
    "a connection that is ended": ("16", _end("b", "eof")),
    "a close frame with a reason": ("43", _close_code("a1", b"\x03\xe9bye")),
    "a refusal with HTTP 401": ("04", _handshake("a0", status=401)),
    "a refusal with another text": ("04", _handshake("a0", body=b'{"errCode":1503,"errMsg":"x","errDlt":""}')),
    "a handshake that negotiates compression": (
        "01",
        _header("a0", "Sec-WebSocket-Extensions", "permessage-deflate"),
    ),
    "an end that comes ten seconds late": ("26", _late("win", 10)),
    "a masked frame": ("10", _odd("a")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_reported(name: str) -> None:
    """A change of one value in a frame, an end or a handshake is a difference."""
    number, change = CHANGES[name]
    result = as_recorded(SESSIONS[number])
    change(result)
    assert wrong(result)


def test_what_the_protocol_does_not_promise_is_not_a_difference() -> None:
    """A push before its acknowledgement, a ping, and the operationID of a push that REST caused."""
    result = as_recorded(SESSIONS["10"])
    frames = result.traces["a"].frames
    frames[0], frames[1] = frames[1], frames[0]
    frames.append(Frame(opcode=Opcode.PING, payload=b"", at_s=0))
    assert wrong(result) == []
    result = as_recorded(SESSIONS["14"])
    rewrite(result, "a", '"operationID":"contract-', lambda envelope: envelope.update(operationID="another"))
    assert wrong(result) == []


def test_two_exchanged_ids_are_reported() -> None:
    """A symbol has one value everywhere: an acknowledgement with the id of another message is a difference."""
    result = as_recorded(SESSIONS["30"])
    frames = result.traces["a"].frames
    first, second = index_of(result, "a", '"msgIncr":"a-1"'), index_of(result, "a", '"msgIncr":"a-2"')
    payloads = [frames[at].payload for at in (first, second)]
    frames[first] = replace(frames[first], payload=payloads[1].replace(b"a-2", b"a-1"))
    frames[second] = replace(frames[second], payload=payloads[0].replace(b"a-1", b"a-2"))
    assert wrong(result)
