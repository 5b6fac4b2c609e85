"""The contract suite's WebSocket client hides nothing: what a server does wrong is kept, what ends is told apart."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import pytest

from suites.contract.openim.ws.client import Connection, Trace

_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _reset(writer: asyncio.StreamWriter) -> None:
    """End TCP with a reset."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _trace(serve: Serve, sends: list[tuple[str, bytes]] | None = None, *, auto_pong: bool = False) -> Trace:
    """What a client sees of a server that upgrades and then does this."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_UPGRADED)
        await serve(reader, writer)

    async def run() -> Trace:
        ended = asyncio.Event()

        def changed() -> None:
            if connection.trace.end:
                ended.set()

        connection = Connection(clock=time.monotonic, changed=changed, auto_pong=auto_pong)
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await connection.open("127.0.0.1", port, b"GET / HTTP/1.1\r\n\r\n", timeout_s=5)
            for kind, payload in sends or []:
                await connection.send(kind, payload)
            await asyncio.wait_for(ended.wait(), 5)
        return connection.trace

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("raw", "oddity"),
    [
        (b"\x82\x02hi", ""),
        (b"\x02\x02hi", "fragmented"),
        (b"\x80\x02hi", "fragmented"),
        (b"\xc2\x02hi", "reserved bits set"),
        (b"\x82\x82\x00\x00\x00\x00hi", "masked"),
        (b"\x8b\x02hi", ""),
    ],
)
def test_odd_frames_are_kept_with_what_is_odd(raw: bytes, oddity: str) -> None:
    """Fragments, masks and reserved bits come from no server of this protocol; an unknown opcode is told by its kind."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    trace = _trace(serve)
    (frame,) = trace.frames
    assert (frame.payload, frame.oddity) == (b"hi", oddity)
    assert (frame.kind == "opcode 11") is (raw[0] == 0x8B)
    assert trace.end == "eof"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_every_length_pass_both_ways(size: int) -> None:
    """One, two and eight bytes of length; what is sent is masked and arrives as it was."""
    payload = bytes(one % 251 for one in range(size))
    received = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, second = await reader.readexactly(2)
        wide = {126: 2, 127: 8}.get(second & 0x7F, 0)
        length = int.from_bytes(await reader.readexactly(wide), "big") if wide else second & 0x7F
        mask = await reader.readexactly(4)
        masked = await reader.readexactly(length)
        received.append((first, second >> 7, bytes(one ^ mask[at % 4] for at, one in enumerate(masked))))
        head = b"\x82\x7f" + length.to_bytes(8, "big")
        writer.write(head + received[0][2])
        writer.close()

    trace = _trace(serve, [("binary", payload)])
    assert received == [(0x82, 1, payload)]
    assert trace.frames[0].payload == payload


def test_a_reset_is_no_eof() -> None:
    """How TCP ended is part of what is recorded."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        _reset(writer)

    assert _trace(serve, [("text", b"x")]).end == "reset"


@pytest.mark.parametrize("auto_pong", [True, False])
def test_pings_are_answered_only_where_asked(auto_pong: bool) -> None:
    """In the sessions about silence, silence is the point."""
    answered = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x89\x01p")
        try:
            async with asyncio.timeout(0.3):
                answered.append((await reader.readexactly(7))[0])
        except TimeoutError:
            pass
        writer.close()

    trace = _trace(serve, auto_pong=auto_pong)
    assert answered == [0x8A] * auto_pong
    assert [frame.kind for frame in trace.frames] == ["ping"]


def test_a_refusal_is_an_answer_with_its_body() -> None:
    """Status, headers as they were spelled, body by its length."""

    async def run() -> Trace:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Odd-case: 1\r\n\r\n{}")

        connection = Connection(clock=time.monotonic, changed=lambda: None, auto_pong=False)
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await connection.open("127.0.0.1", port, b"GET / HTTP/1.1\r\n\r\n", timeout_s=5)
        return connection.trace

    handshake = asyncio.run(run()).handshake
    assert handshake is not None
    assert (handshake.status, handshake.body, handshake.headers["X-Odd-case"]) == (200, b"{}", "1")
