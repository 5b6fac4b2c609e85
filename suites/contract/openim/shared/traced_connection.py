"""A WebSocket connection that records every frame it receives, with its time, and how the connection ended."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from fixtures.clients.raw_websocket import ConnectionEnded, Frame, Handshake, Opcode, RawWebSocket


@dataclass
class Trace:
    """Everything that one connection received. `end` is `eof` or `reset`, `dropped` where the client ended TCP."""

    handshake: Handshake | None = None
    frames: list[Frame] = field(default_factory=list)
    end: str = ""
    opened_at_s: float = 0.0
    ended_at_s: float = 0.0


class TracedConnection:
    """One connection and its trace.

    Args:
        clock: gives the times of the trace, in seconds.
        changed: called after each frame and at the end.
        auto_pong: whether pings are answered. Nothing else is sent by itself.
    """

    def __init__(self, *, clock: Callable[[], float], changed: Callable[[], None], auto_pong: bool) -> None:
        self.trace = Trace()
        self._clock = clock
        self._changed = changed
        self._auto_pong = auto_pong
        self._socket: RawWebSocket | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(
        self, host: str, port: int, head: bytes, *, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> Handshake:
        """Connect, send an HTTP head as it is, and read the response.

        Raises OSError, TimeoutError, asyncio.IncompleteReadError.
        """
        async with asyncio.timeout(timeout_s):
            self._socket = await RawWebSocket.connect(host, port, tls=tls, clock=self._clock)
            handshake = await self._socket.upgrade(head)
        self.trace.handshake = handshake
        self.trace.opened_at_s = self._clock()
        if handshake.upgraded:
            self._task = asyncio.create_task(self._read(self._socket))
        else:
            await self.drop()
        return handshake

    async def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame. On a connection that has ended nothing happens; its trace shows the end."""
        if self._socket is None or self.trace.end:
            return
        try:
            self._socket.send(opcode, payload)
            await self._socket.writer.drain()
        except OSError:
            pass  # the reading task records the end

    async def drop(self) -> None:
        """End TCP without a close frame."""
        if not self.trace.end:
            self.trace.end, self.trace.ended_at_s = "dropped", self._clock()
        if self._task is not None:
            self._task.cancel()
        if self._socket is not None:
            self._socket.abort()

    async def _read(self, socket: RawWebSocket) -> None:
        try:
            while True:
                frame = await socket.receive()
                self.trace.frames.append(frame)
                if frame.opcode == Opcode.PING and self._auto_pong:
                    await self.send(Opcode.PONG, frame.payload)
                self._changed()
        except ConnectionEnded as ended:
            self.trace.end, self.trace.ended_at_s = ended.how, self._clock()
        socket.close()
        self._changed()
