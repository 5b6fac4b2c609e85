"""Whatever comes instead of a proper upgrade request is refused, and the gateway serves the next client as ever."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.selftest.openim.fuzzing import FUZZ, JSON, Arena, opened
from suites.selftest.openim.sockets import TEXT, Door, Ended


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """One gateway for all examples of this file."""
    with opened() as arena:
        yield arena


QUERIES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80) | st.dictionaries(
    st.sampled_from(["sendID", "token", "platformID", "operationID", "isBackground", "sdkType", "isMsgResp", "v", "x"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="&#"), max_size=20)
    | st.sampled_from(["bad", "5", "true", "js", "%ff", "%zz", "a.b.c", "é"]),
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs.items()))
V = st.dictionaries(
    st.sampled_from(["token", "userID", "platformID", "operationID", "sdkType", "sendResponse", "background", "x"]),
    JSON,
).map(lambda one: "v=" + base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("="))


@FUZZ
@given(query=QUERIES | V)
def test_arbitrary_parameters(arena: Arena, query: str) -> None:
    """HTTP 200 with a code that tells why, or an upgrade that tells it in one text frame."""

    async def attack(door: Door) -> None:
        found, socket = await door.upgrade(query)
        if found.status == 101:
            ((opcode, text),) = await socket.end()
            assert opcode == TEXT
        else:
            assert found.status == 200
            text = found.body
        assert json.loads(text)["errCode"] in (500, *range(1501, 1508), 1602)

    arena.attack(attack)


LINES = st.binary(max_size=30) | st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"POST / HTTP/1.1",
        b"GET //[ HTTP/1.1",
        b"GET /?v=e30 HTTP/1.1",
        b"GET / HTTP/1.0",
        b"GET /\xff HTTP/1.1",
        b"Host: x",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: x",
        b"Content-Length: 9",
        b"",
    ]
)


@FUZZ
@given(lines=st.lists(LINES, max_size=8), end=st.sampled_from([b"\r\n\r\n", b"\r\n", b"", b"\r\n\r\nGET / HTTP/1.1"]))
def test_arbitrary_http(arena: Arena, lines: list[bytes], end: bytes) -> None:
    """Refused in HTTP, or waited for until the client goes; never a failure of ours told."""

    async def attack(door: Door) -> None:
        socket = await door.raw()
        socket.write(b"\r\n".join(lines) + end)
        await arena.good.settle()
        await arena.good.settle()
        said = bytes(socket.reader._buffer)  # type: ignore[attr-defined]
        assert not said or said.split(b" ")[:2] in ([b"HTTP/1.1", b"200"], [b"HTTP/1.1", b"400"])

    arena.attack(attack)


def test_a_long_request_head_ends_the_connection(arena: Arena) -> None:
    """A head without end is not gathered for ever."""

    async def attack(door: Door) -> None:
        socket = await door.raw()
        socket.write(b"GET /?" + b"x" * 100_000)
        with pytest.raises(Ended):
            await socket.read()

    arena.attack(attack)
