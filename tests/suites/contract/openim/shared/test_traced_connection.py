"""A traced connection records its frames and its end, and answers pings only if it should."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from fixtures.clients.raw_websocket import Opcode
from suites.contract.openim.shared.traced_connection import Trace, TracedConnection

_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _trace(serve: Serve, *, answer: bytes = _UPGRADED, auto_pong: bool = False) -> Trace:
    """The trace of a connection to a server that answers the request head and then does this."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await serve(reader, writer)

    async def run() -> Trace:
        ended = asyncio.Event()

        def changed() -> None:
            if connection.trace.end:
                ended.set()

        connection = TracedConnection(clock=time.monotonic, changed=changed, auto_pong=auto_pong)
        async with await asyncio.start_server(on_connection, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            handshake = await connection.open("127.0.0.1", port, b"GET / HTTP/1.1\r\n\r\n", timeout_s=5)
            if handshake.upgraded:
                await connection.send(Opcode.TEXT, b"x")
                await asyncio.wait_for(ended.wait(), 5)
        return connection.trace

    return asyncio.run(run())


def test_the_trace_has_handshake_frames_and_end() -> None:
    """Frames are kept in order, with their times."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x81\x01a\x82\x01b")
        await reader.readexactly(7)
        writer.close()

    trace = _trace(serve)
    assert trace.handshake is not None
    assert [(frame.kind, frame.payload) for frame in trace.frames] == [("text", b"a"), ("binary", b"b")]
    assert trace.end == "eof"
    times = [trace.opened_at_s, *(frame.at_s for frame in trace.frames), trace.ended_at_s]
    assert times == sorted(times)


@pytest.mark.parametrize("auto_pong", [True, False])
def test_pings_are_answered_only_with_auto_pong(auto_pong: bool) -> None:
    """Without auto_pong the client sends nothing by itself."""
    answered = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(7)
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


def test_a_refused_connection_is_dropped() -> None:
    """The handshake is kept, and the connection has ended."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    trace = _trace(serve, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert trace.handshake is not None
    assert (trace.handshake.status, trace.end) == (200, "dropped")
