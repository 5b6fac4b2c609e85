"""Whatever one client sends, the gateway fails nowhere, answers or closes, and serves the next one as ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.wire.envelope import Answer, Request, codec
from suites.selftest.openim.doubles import ADMIN
from suites.selftest.openim.fuzzing import CALLS, FUZZ, JSON, KNOWN, Arena, opened
from suites.selftest.openim.sockets import BINARY, CLOSE, PING, PONG, TEXT, Door, Ended, Socket, frame, text_message


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """One gateway for all examples of this file."""
    with opened() as arena:
        yield arena


frames = st.builds(
    frame,
    st.integers(0, 15) | st.sampled_from([0, 1, 2, 8, 9, 10]),
    st.binary(max_size=140) | st.sampled_from([b"", b"\x03\xe8", b'{"type":"ping"}', b'{"reqIdentifier":1004}']),
    fin=st.booleans(),
    masked=st.booleans() | st.just(value=True),
    rsv=st.sampled_from([0, 0, 0, 0, 1, 2, 4, 7]),
)


async def spoken(socket: Socket) -> list[tuple[int, bytes]]:
    """What the server said until now; it may still be waiting for the rest of a frame."""
    said = []
    try:
        async with asyncio.timeout(0.005):
            while True:
                said.append(await socket.read())
    except (TimeoutError, Ended):
        return said


@FUZZ
@given(parts=st.lists(frames | st.binary(max_size=40), max_size=6), cut=st.integers(0, 3))
def test_arbitrary_frames(arena: Arena, parts: list[bytes], cut: int) -> None:
    """Bad opcodes, unmasked, reserved bits, fragmented control frames, bytes in between, a frame that breaks off."""

    async def attack(door: Door) -> None:
        socket = await door.connect("bad")
        data = b"".join(parts)
        socket.write(data[: len(data) - cut])
        await arena.good.settle()
        for opcode, _ in await spoken(socket):
            assert opcode in (BINARY, TEXT, PONG, CLOSE)

    arena.attack(attack)


@FUZZ
@given(
    payload=st.binary(max_size=300),
    sdk=st.sampled_from(["js", "go"]),
    gzipped=st.booleans(),
    wrap=st.booleans(),
)
def test_arbitrary_binary_payloads(arena: Arena, payload: bytes, sdk: str, gzipped: bool, wrap: bool) -> None:
    """What is no envelope ends TCP without a word (session 20)."""

    async def attack(door: Door) -> None:
        socket = await door.connect("bad", sdk=sdk, gzipped=gzipped)
        socket.send(BINARY, codec("js", gzipped=True).encode_request(Request(1, msg_incr="x")) if wrap else payload)
        assert await socket.end() == []

    arena.attack(attack)


@FUZZ
@given(calls=st.lists(CALLS, min_size=1, max_size=8), sdk=st.sampled_from(["js", "go"]), admin=st.booleans())
def test_arbitrary_protobuf_in_any_request(arena: Arena, calls: list[tuple[int, bytes]], sdk: str, admin: bool) -> None:
    """Each is answered with a known code, in order; only logging out ends the connection."""

    async def attack(door: Door) -> None:
        socket = await door.connect(ADMIN if admin else "bad", sdk=sdk)
        for identifier, data in calls:
            incr = socket.ask(identifier, data)
            found = await next_answer(socket)
            assert (found.req_identifier, found.msg_incr) == (identifier, incr)
            assert found.err_code in (0, 500, 1001, 1002, 1004, 1204, 1302, 1402, 1403)
            if identifier == 2003:
                assert await socket.end() == []
                return
        await socket.bye()

    arena.attack(attack)


async def next_answer(socket: Socket) -> Answer:
    """The next envelope that is no push."""
    while True:
        found = await socket.envelope()
        if found.req_identifier != 2001:
            return found


@FUZZ
@given(identifier=st.integers(-(2**40), 2**40).filter(lambda one: one not in KNOWN), data=st.binary(max_size=30))
def test_unknown_identifiers_end_tcp(arena: Arena, identifier: int, data: bytes) -> None:
    """No answer, whatever the number (session 21)."""

    async def attack(door: Door) -> None:
        for sdk in ("js", "go"):
            socket = await door.connect("bad", sdk=sdk)
            socket.ask(identifier, data)
            assert await socket.end() == []

    arena.attack(attack)


HEARTBEATS = st.fixed_dictionaries({"type": st.sampled_from(["ping", "pong", "x"]) | JSON}, optional={"body": JSON})


@FUZZ
@given(value=HEARTBEATS | JSON, raw=st.none() | st.binary(max_size=60))
def test_arbitrary_text(arena: Arena, value: Any, raw: bytes | None) -> None:
    """A ping gets its body back, a pong nothing; all else ends TCP without a word (session 25)."""
    text = raw if raw is not None else json.dumps(value).encode()

    async def attack(door: Door) -> None:
        socket = await door.connect("bad")
        socket.send(TEXT, text)
        socket.send(PING, b"after")
        said = await spoken(socket) if raw is not None else await until_pong(socket)
        if raw is not None:
            return
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "ping":
            assert [opcode for opcode, _ in said] == [TEXT, PONG]
            assert same(json.loads(said[0][1]), {"type": "pong", "body": value.get("body")})
        else:
            assert said == ([(PONG, b"after")] if kind == "pong" else [])

    arena.attack(attack)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values read alike."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


async def until_pong(socket: Socket) -> list[tuple[int, bytes]]:
    """What came before the pong, or before TCP ended."""
    said: list[tuple[int, bytes]] = []
    try:
        while not said or said[-1] != (PONG, b"after"):
            said.append(await socket.read())
    except Ended:
        pass
    return said


def test_a_message_still_gets_through(arena: Arena) -> None:
    """The arena is a real gateway: what another client sends arrives."""

    async def attack(door: Door) -> None:
        socket = await door.connect("bad")
        await socket.say(text_message("bad", "good", text="fuzz"))
        assert "c-fuzz" in [message.clientMsgID for _, message in await arena.good.settle()]

    arena.attack(attack)
