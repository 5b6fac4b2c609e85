"""A WebSocket client on a bare socket: it sends what it is told, right or wrong, and keeps what the wire really did.

Nothing is answered, closed or hidden on its own, except that pings are answered where that is asked for.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD = 64 * 1024


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


KINDS: dict[int, str] = {
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary",
    Opcode.CLOSE: "close",
    Opcode.PING: "ping",
    Opcode.PONG: "pong",
}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame as it came. `oddity` names what no server of this protocol does: fragments, masks, reserved bits."""

    kind: str
    payload: bytes
    at_s: float
    oddity: str = ""


@dataclass(frozen=True, kw_only=True)
class Handshake:
    """What answered the HTTP request: header names as they were spelled."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes


@dataclass
class Trace:
    """Everything that one connection showed. `end` is "eof" or "reset" once TCP is over, "dropped" when we did that."""

    handshake: Handshake | None = None
    frames: list[Frame] = field(default_factory=list)
    end: str = ""
    opened_at_s: float = 0.0
    ended_at_s: float = 0.0


class Connection:
    """One TCP connection. `changed` is called at each frame and at the end."""

    def __init__(self, *, clock: Callable[[], float], changed: Callable[[], None], auto_pong: bool) -> None:
        self.trace = Trace()
        self._clock = clock
        self._changed = changed
        self._auto_pong = auto_pong
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(
        self, host: str, port: int, head: bytes, *, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> Handshake:
        """Connect, send an HTTP head as it is, and read the answer. Raises OSError, TimeoutError."""
        async with asyncio.timeout(timeout_s):
            self._reader, self._writer = await asyncio.open_connection(host, port, limit=1 << 20, ssl=tls)
            self._writer.write(head)
            await self._writer.drain()
            handshake = await self._answer(self._reader)
        self.trace.handshake = handshake
        self.trace.opened_at_s = self._clock()
        if handshake.status == 101:
            self._task = asyncio.create_task(self._read())
        else:
            await self.drop()
        return handshake

    async def _answer(self, reader: asyncio.StreamReader) -> Handshake:
        try:
            raw = await reader.readuntil(_HEAD_END)
        except asyncio.IncompleteReadError as error:
            return Handshake(status=0, headers={}, body=error.partial, raw=error.partial)
        lines = raw.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1]) if lines[0].count(" ") else 0
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        body = b""
        if status != 101:
            length = next((int(value) for name, value in headers.items() if name.lower() == "content-length"), None)
            body = await reader.read(-1) if length is None else await reader.readexactly(length)
        return Handshake(status=status, headers=headers, body=body, raw=raw + body)

    async def send(self, kind: str, payload: bytes) -> None:
        """Send one masked frame. A connection that is gone takes it silently: its end tells the story."""
        opcode = next(code for code, name in KINDS.items() if name == kind)
        mask = os.urandom(4)
        head = bytes([0x80 | opcode]) + _length(len(payload)) + mask
        await self._write(head + _masked(payload, mask))

    async def _write(self, data: bytes) -> None:
        if self._writer is None or self.trace.end:
            return
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            pass  # the reading side sees the end and says which

    async def drop(self) -> None:
        """End TCP without a word."""
        if not self.trace.end:
            self.trace.end, self.trace.ended_at_s = "dropped", self._clock()
        if self._task is not None:
            self._task.cancel()
        if self._writer is not None:
            self._writer.transport.abort()

    async def _read(self) -> None:
        reader = self._reader
        assert reader is not None
        try:
            while True:
                await self._frame(reader)
        except (asyncio.IncompleteReadError, EOFError):
            end = "eof"
        except OSError:
            end = "reset"
        self.trace.end, self.trace.ended_at_s = end, self._clock()
        if self._writer is not None:
            self._writer.close()
        self._changed()

    async def _frame(self, reader: asyncio.StreamReader) -> None:
        first, second = await reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        oddity = _oddity(first, second)
        if second & 0x80:
            await reader.readexactly(4)
        payload = await reader.readexactly(length)
        kind = KINDS.get(first & 0x0F, f"opcode {first & 0x0F}")
        self.trace.frames.append(Frame(kind=kind, payload=payload, at_s=self._clock(), oddity=oddity))
        if kind == "ping" and self._auto_pong:
            await self.send("pong", payload)
        self._changed()


def _oddity(first: int, second: int) -> str:
    found = []
    if not first & 0x80 or first & 0x0F == Opcode.CONTINUATION:
        found.append("fragmented")
    if first & 0x70:
        found.append("reserved bits set")
    if second & 0x80:
        found.append("masked")
    return ", ".join(found)


def _length(length: int) -> bytes:
    if length < 126:
        return bytes([0x80 | length])
    if length < 1 << 16:
        return bytes([0x80 | 126]) + length.to_bytes(2, "big")
    return bytes([0x80 | 127]) + length.to_bytes(8, "big")


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
