"""A traced connection keeps every frame as it was on the wire, and how the connection ended."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import pytest

from fixtures.clients.raw_websocket import Opcode
from suites.contract.openim.shared.traced_connection import Trace, TracedConnection

_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _reset(writer: asyncio.StreamWriter) -> None:
    """End TCP with a reset."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _trace(serve: Serve, sends: list[tuple[Opcode, bytes]] | None = None, *, auto_pong: bool = False) -> Trace:
    """The trace of a connection to a server that upgrades it and then does this."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_UPGRADED)
        await serve(reader, writer)

    async def run() -> Trace:
        ended = asyncio.Event()

        def changed() -> None:
            if connection.trace.end:
                ended.set()

        connection = TracedConnection(clock=time.monotonic, changed=changed, auto_pong=auto_pong)
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await connection.open("127.0.0.1", port, b"GET / HTTP/1.1\r\n\r\n", timeout_s=5)
            for opcode, payload in sends or []:
                await connection.send(opcode, payload)
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
def test_odd_frames_are_kept_with_their_oddity(raw: bytes, oddity: str) -> None:
    """Fragments, masks and reserved bits are named as oddities; an unknown opcode is part of the kind."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    trace = _trace(serve)
    (frame,) = trace.frames
    assert (frame.payload, frame.oddity) == (b"hi", oddity)
    assert (frame.kind == "opcode 11") is (raw[0] == 0x8B)
    assert trace.end == "eof"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_every_length_are_sent_and_received(size: int) -> None:
    """Lengths of one, two and eight bytes work; sent frames are masked and arrive unchanged."""
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

    trace = _trace(serve, [(Opcode.BINARY, payload)])
    assert received == [(0x82, 1, payload)]
    assert trace.frames[0].payload == payload


def test_a_reset_is_distinguished_from_eof() -> None:
    """The trace shows how TCP ended."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        _reset(writer)

    assert _trace(serve, [(Opcode.TEXT, b"x")]).end == "reset"


@pytest.mark.parametrize("auto_pong", [True, False])
def test_pings_are_answered_only_with_auto_pong(auto_pong: bool) -> None:
    """Without auto_pong the client sends nothing by itself."""
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


def test_a_refused_handshake_has_status_headers_and_body() -> None:
    """The header names keep their spelling; the body ends by its length."""

    async def run() -> Trace:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Odd-case: 1\r\n\r\n{}")

        connection = TracedConnection(clock=time.monotonic, changed=lambda: None, auto_pong=False)
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await connection.open("127.0.0.1", port, b"GET / HTTP/1.1\r\n\r\n", timeout_s=5)
        return connection.trace

    handshake = asyncio.run(run()).handshake
    assert handshake is not None
    assert (handshake.status, handshake.body, handshake.headers["X-Odd-case"]) == (200, b"{}", "1")
