"""WebSocket frames: what ends a connection and how, sizes, fragments, closing, clients that do not read."""

from __future__ import annotations

import gzip
import json

import pytest

from fixtures.openim.gateway.pushes import binary_frame
from fixtures.openim.state import State
from fixtures.wire.envelope import Request, codec
from suites.selftest.openim.sockets import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    frame,
    served,
    text_message,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]

LIMIT = 51_200


def request(identifier: int = 1004, **fields: object) -> bytes:
    """A JSON request of ann's."""
    given = {"reqIdentifier": identifier, "sendID": "ann", "operationID": "op", "msgIncr": "1", "data": ""}
    return json.dumps({**given, **fields}).encode()


BAD_ENVELOPES = {
    "empty": b"",
    "no JSON": b"hello",
    "array": b"[]",
    "number as text": request(reqIdentifier="1004"),
    "fraction": request(reqIdentifier=1004.5),
    "text as number": request(msgIncr=1),
    "bad base64": request(data="!!"),
    "gob": codec("go").encode_request(Request(1004, send_id="ann")),
    "gzip": gzip.compress(request()),
    "other sender": request(sendID="ben"),
    "no sender": request(sendID=""),
    **{f"identifier {one}": request(one) for one in (0, 1, 1000, 1008, 2001, 2002, 2006, 3001, -1, 2**31 - 1)},
}


@pytest.mark.parametrize("case", BAD_ENVELOPES)
async def test_a_frame_that_is_no_request_ends_tcp_without_a_word(state: State, case: str) -> None:
    """No error frame, no close frame, and nobody else notices (sessions 20 to 22)."""
    async with served(state) as door:
        socket, other = await door.connect("ann"), await door.connect("ben")
        socket.send(BINARY, BAD_ENVELOPES[case])
        assert await socket.end() == []
        assert (await other.call(1004)).err_code == 1001
        assert [one.user_id for one in door.gateway.hub] == ["ben"]


@pytest.mark.parametrize("payload", [request(), b"", codec("js", gzipped=True).encode_request(Request(1, send_id="a"))])
async def test_a_plain_frame_on_a_gzip_connection_ends_tcp(state: State, payload: bytes) -> None:
    """Each binary frame is one complete gzip member of the agreed encoding (session 20)."""
    async with served(state) as door:
        socket = await door.connect("ann", sdk="go", gzipped=True)
        socket.send(BINARY, payload)
        assert await socket.end() == []


async def test_loose_envelopes_are_accepted(state: State) -> None:
    """Absent token and data, null data, empty operationID and msgIncr, extra keys, any case (session 22)."""
    async with served(state) as door:
        socket = await door.connect("ann")
        for text in (
            b'{"reqIdentifier":1004,"sendID":"ann"}',
            b'{"reqIdentifier":1004,"sendID":"ann","data":null,"extra":[1]}',
            b'{"REQIDENTIFIER":1004,"sendid":"ann","MsgIncr":"","operationId":""}',
        ):
            socket.send(BINARY, text)
            assert (await socket.envelope()).err_code == 1001


@pytest.mark.parametrize("sdk", ["js", "go"])
@pytest.mark.parametrize("gzipped", [False, True])
async def test_every_encoding_carries_requests_answers_and_pushes(state: State, sdk: str, gzipped: bool) -> None:
    """JSON and gob, plain and gzipped (sessions 10, 40, 41, 42); each listener gets its own."""
    async with served(state) as door:
        ann = await door.connect("ann", sdk=sdk, gzipped=gzipped)
        ben = [await door.connect("ben", sdk=one, gzipped=zipped) for one in ("js", "go") for zipped in (False, True)]
        await ann.say(text_message("ann", "ben", text="é😀"))
        for socket in (ann, *ben):
            ((name, message),) = await socket.settle()
            assert (name, message.content.decode()) == ("si_ann_ben", '{"content":"é😀"}')


async def test_control_pings_come_back_as_they_are(state: State) -> None:
    """Equal payload, in order with everything else (session 25)."""
    async with served(state) as door:
        socket = await door.connect("ann")
        for payload in (b"", b"x", bytes(range(125))):
            socket.send(PING, payload)
            assert await socket.read() == (PONG, payload)
        socket.send(PONG, b"unasked")
        assert await socket.settle() == []


@pytest.mark.parametrize(
    ("ping", "pong"),
    [
        (b'{"type":"ping","body":"op-124"}', b'{"type":"pong","body":"op-124"}'),
        (b'{"type":"ping","body":{"n":1}}', b'{"type":"pong","body":{"n":1}}'),
        (b'{"type":"ping"}', b'{"type":"pong","body":null}'),
        (
            b' {"body":[1.50, 1e999], "type":"ping", "x":1} ',
            b'{"type":"pong","body":[1.50,1e999]}',
        ),
    ],
)
async def test_text_pings_are_answered_in_text(state: State, ping: bytes, pong: bytes) -> None:
    """The body comes back as it was written; a text pong is swallowed (session 25)."""
    async with served(state) as door:
        socket = await door.connect("ann", sdk="go", gzipped=True)
        socket.send(TEXT, b'{"type":"pong","body":"x"}')
        socket.send(TEXT, ping)
        assert await socket.read() == (TEXT, pong)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b'{"type":"hello"}',
        b'{"reqIdentifier":1001}',
        b'["ping"]',
        b'"ping"',
        b"null",
        b'{"type":1}',
        b'{"type":"ping","body":NaN}',
        b"\xff",
        b'{"type":"ping","body":' + b"[" * 20_000,
        b'{"type":"ping","body":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
)
async def test_any_other_text_ends_tcp(state: State, text: bytes) -> None:
    """Text is for heartbeats alone (session 25)."""
    async with served(state) as door:
        socket = await door.connect("ann")
        socket.send(TEXT, text)
        assert await socket.end() == []


async def test_a_message_may_come_in_pieces(state: State) -> None:
    """Fragments are put together, control frames between them are answered at once."""
    payload = request()
    async with served(state) as door:
        socket = await door.connect("ann")
        for kind, whole in ((BINARY, payload), (TEXT, b'{"type":"ping"}'), (BINARY, payload)):
            socket.write(frame(kind, whole[:9], fin=False) + frame(CONTINUATION, b"", fin=False))
            socket.send(PING, b"between")
            socket.write(frame(CONTINUATION, whole[9:]))
            assert await socket.read() == (PONG, b"between")
            opcode, answer = await socket.read()
            assert opcode == kind
            assert json.loads(answer).get("errCode", 1001) == 1001


@pytest.mark.parametrize(
    "data",
    [
        frame(CONTINUATION, b"x"),
        frame(CONTINUATION, b"x", fin=False),
        frame(BINARY, b"x", fin=False) + frame(BINARY, b"x"),
        frame(TEXT, b"x", fin=False) + frame(BINARY, b"x", fin=False),
        frame(BINARY, b"x", fin=False) + frame(TEXT, b'{"type":"ping"}'),
    ],
    ids=["end of nothing", "middle of nothing", "whole within", "beginning within", "text within"],
)
async def test_pieces_out_of_place_end_the_connection(state: State, data: bytes) -> None:
    """A continuation of nothing, or a new message within another."""
    async with served(state) as door:
        socket = await door.connect("ann")
        socket.write(data)
        assert {opcode for opcode, _ in await socket.end()} <= {CLOSE}


@pytest.mark.parametrize("rsv", [1, 2, 4])
async def test_reserved_bits_are_a_breach_of_the_protocol(state: State, rsv: int) -> None:
    """No extension is ever agreed on: close code 1002, and the request is not looked at."""
    async with served(state) as door:
        socket = await door.connect("ann")
        socket.write(frame(BINARY, request(), rsv=rsv))
        assert await socket.end() == [(CLOSE, b"\x03\xea")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 65_537])
def test_frames_are_written_with_the_length_that_fits(size: int) -> None:
    """Seven bits, two bytes or eight, at the borders between them."""
    assert binary_frame(b"x" * size) == frame(BINARY, b"x" * size, masked=False)


def padded(size: int) -> bytes:
    """A request of exactly so many bytes."""
    plain = request(extra="")
    return request(extra="x" * (size - len(plain)))


@pytest.mark.parametrize("pieces", [1, 4])
async def test_the_read_limit_is_51200_bytes(state: State, pieces: int) -> None:
    """51200 pass; one more gets close code 1009 and the end of TCP (session 32); pieces count together."""

    def cut(payload: bytes) -> bytes:
        step = -(-len(payload) // pieces)
        parts = [payload[at : at + step] for at in range(0, len(payload), step)]
        return b"".join(
            frame(CONTINUATION if number else BINARY, part, fin=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )

    async with served(state) as door:
        socket = await door.connect("ann")
        for _ in range(2):
            socket.write(cut(padded(LIMIT)))
            assert (await socket.envelope()).err_code == 1001
        socket.write(cut(padded(LIMIT + 1)))
        frames = await socket.end()
        assert [(opcode, payload[:2]) for opcode, payload in frames] == [(CLOSE, b"\x03\xf1")]
        await door.gone()


async def test_what_was_compressed_may_be_larger_but_not_without_end(state: State) -> None:
    """The limit is on bytes as received (session 32); a bomb ends the connection, and the next client is served."""
    async with served(state) as door:
        socket = await door.connect("ann", gzipped=True)
        socket.send(BINARY, gzip.compress(padded(10 * LIMIT)))
        assert (await socket.envelope()).err_code == 1001
        socket.send(BINARY, gzip.compress(padded(10 << 20), 9))
        assert await socket.end() == []
        assert (await (await door.connect("ann")).call(1004)).err_code == 1001


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [(b"", b""), (b"\x03\xe8", b"\x03\xe8"), (b"\x03\xe9bye", b"\x03\xe9"), (b"\x0f\xa0" + b"x" * 123, b"\x0f\xa0")],
)
async def test_a_close_frame_is_echoed_without_its_reason(state: State, sent: bytes, echoed: bytes) -> None:
    """Then TCP ends; what comes after it is not looked at (session 43)."""
    async with served(state) as door:
        socket = await door.connect("ann")
        late = Request(1003, send_id="ann", data=text_message("ann", "ann").SerializeToString())
        socket.write(frame(CLOSE, sent) + frame(BINARY, codec("js").encode_request(late)))
        assert await socket.end() == [(CLOSE, echoed)]
        await door.gone()
        assert not len(state.messages)
