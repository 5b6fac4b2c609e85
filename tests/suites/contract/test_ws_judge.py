"""The judge of WebSocket sessions: a server that behaves as recorded is equal, and each change of it is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from suites.contract.openim.ws.client import Frame
from suites.contract.openim.ws.perform import Performed
from tests.suites.contract.replays import SESSIONS, as_recorded, in_push, index_of, rewrite, wrong

_PLACES = 5


@pytest.mark.parametrize("number", SESSIONS)
def test_the_recording_equals_itself(number: str) -> None:
    """No rule of the judge is broken by what the real server did."""
    assert wrong(as_recorded(SESSIONS[number])) == []


@pytest.mark.parametrize("number", SESSIONS)
def test_a_frame_that_is_lost_or_doubled_is_seen(number: str) -> None:
    """Answers, pushes, texts, pongs and close frames, at places spread over the session."""
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


def _swap(conn: str, one: str, other: str) -> Callable[[Performed], None]:
    def change(performed: Performed) -> None:
        frames = performed.traces[conn].frames
        first, second = index_of(performed, conn, one), index_of(performed, conn, other)
        frames[first], frames[second] = frames[second], frames[first]

    return change


def _envelope(conn: str, text: str, **fields: Any) -> Callable[[Performed], None]:
    return lambda performed: rewrite(performed, conn, text, lambda envelope: envelope.update(fields))


def _without(conn: str, text: str, field: str) -> Callable[[Performed], None]:
    def drop(envelope: dict[str, Any]) -> None:
        del envelope[field]

    return lambda performed: rewrite(performed, conn, text, drop)


def _push(conn: str, text: str, change: Callable[[Any, str], None]) -> Callable[[Performed], None]:
    return lambda performed: rewrite(performed, conn, text, in_push(change))


def _set(**fields: Any) -> Callable[[Any, str], None]:
    def change(conversations: Any, name: str) -> None:
        for field, value in fields.items():
            setattr(conversations[name].Msgs[0], field, value)

    return change


def _rename(conversations: Any, name: str) -> None:
    prefix, first, second = name.split("_")
    conversations[f"{prefix}_{second}_{first}"].CopyFrom(conversations[name])
    del conversations[name]


def _end(conn: str, end: str) -> Callable[[Performed], None]:
    return lambda performed: setattr(performed.traces[conn], "end", end)


def _close_code(conn: str, code: bytes) -> Callable[[Performed], None]:
    return lambda performed: performed.traces[conn].frames.append(Frame(kind="close", payload=code, at_s=0))


def _handshake(conn: str, **fields: Any) -> Callable[[Performed], None]:
    def change(performed: Performed) -> None:
        trace = performed.traces[conn]
        assert trace.handshake is not None
        trace.handshake = replace(trace.handshake, **fields)

    return change


def _header(conn: str, name: str, value: str) -> Callable[[Performed], None]:
    def change(performed: Performed) -> None:
        handshake = performed.traces[conn].handshake
        assert handshake is not None
        handshake.headers[name] = value

    return change


def _late(conn: str, seconds: float) -> Callable[[Performed], None]:
    def change(performed: Performed) -> None:
        performed.traces[conn].ended_at_s += seconds

    return change


def _odd(conn: str) -> Callable[[Performed], None]:
    def change(performed: Performed) -> None:
        frames = performed.traces[conn].frames
        frames[0] = replace(frames[0], oddity="masked")

    return change


CHANGES: dict[str, tuple[str, Callable[[Performed], None]]] = {
    "an answer with another errCode": ("10", _envelope("a", '"msgIncr":"a-1"', errCode=1001)),
    "an answer without its operationID": ("10", _without("a", '"msgIncr":"a-1"', "operationID")),
    "an answer whose msgIncr is a number": ("10", _envelope("a", '"msgIncr":"a-1"', msgIncr=1)),
    "an answer with a field more": ("10", _envelope("a", '"msgIncr":"a-1"', errDlt="")),
    "null where empty data was": ("13", _envelope("a", '"reqIdentifier":1001', data=None)),
    "a push without the causing operationID": ("10", _envelope("a", '"reqIdentifier":2001', operationID="")),
    "a push whose status is still 1": ("10", _push("a", '"reqIdentifier":2001', _set(status=1))),
    "a push with the next seq": ("10", _push("b", '"reqIdentifier":2001', _set(seq=2))),
    "a push of another message": ("10", _push("b", '"reqIdentifier":2001', _set(serverMsgID="0" * 31 + "1"))),
    "a push with another time": ("10", _push("b", '"reqIdentifier":2001', _set(sendTime=1_795_461_033_999))),
    "a push of another text": ("10", _push("b", '"reqIdentifier":2001', _set(content=b'{"content":"hello"}'))),
    "a push with an option": ("10", _push("b", '"reqIdentifier":2001', _set(isRead=True))),
    "a conversationID in the other order": ("10", _push("b", '"reqIdentifier":2001', _rename)),
    "two answers that change places": ("35", _swap("a", '"msgIncr":"r001"', '"msgIncr":"r002"')),
    "two pushes that change places": ("35", _swap("b", '"operationID":"op-a-7"', '"operationID":"op-a-8"')),
    "a notice before its message in the chat": ("14", lambda performed: performed.traces["a"].frames.reverse()),
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
def test_a_change_is_seen(name: str) -> None:
    """One thing in one frame, ending or handshake is other than recorded."""
    number, change = CHANGES[name]
    performed = as_recorded(SESSIONS[number])
    change(performed)
    assert wrong(performed)


def test_what_the_wire_does_not_promise_is_no_difference() -> None:
    """A push before its ack, a ping, the operationID of a push that REST caused."""
    performed = as_recorded(SESSIONS["10"])
    frames = performed.traces["a"].frames
    frames[0], frames[1] = frames[1], frames[0]
    frames.append(Frame(kind="ping", payload=b"", at_s=0))
    assert wrong(performed) == []
    performed = as_recorded(SESSIONS["14"])
    rewrite(performed, "a", '"operationID":"rest-', lambda envelope: envelope.update(operationID="another"))
    assert wrong(performed) == []


def test_two_ids_that_change_places_are_seen() -> None:
    """The same symbol stands for the same value everywhere: an ack that names another message's id is a difference."""
    performed = as_recorded(SESSIONS["30"])
    frames = performed.traces["a"].frames
    first, second = index_of(performed, "a", '"msgIncr":"a-1"'), index_of(performed, "a", '"msgIncr":"a-2"')
    payloads = [frames[at].payload for at in (first, second)]
    frames[first] = replace(frames[first], payload=payloads[1].replace(b"a-2", b"a-1"))
    frames[second] = replace(frames[second], payload=payloads[0].replace(b"a-1", b"a-2"))
    assert wrong(performed)
