"""A reconnecting WebSocket; subclasses handle the payload."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from typing import Final

from picows import WSError, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from fixtures.wire.envelope import EnvelopeError
from load.engine.plan import PING_S, UserPlan
from load.engine.record import RunRecord
from load.engine.rpc import ConnectionLost
from load.journal.layout import Kind

_HANDSHAKE_S: Final = 10.0
_PONG_S: Final = 10.0
_BINARY, _CLOSE = WSMsgType.BINARY, WSMsgType.CLOSE


class LoadConnection(WSListener):
    """One user's connections, one after another, until `keep` is false. Everything here runs in the engine's loop.

    `ready`: connected and warmed up, so that what is sent is also pushed. `pause_s`: how long to wait before the next
    reconnect; 0 for the usual back-off.
    """

    def __init__(self, record: RunRecord, plan: UserPlan) -> None:
        self._record, self.plan = record, plan
        self._journal, self._figures = record.journal, record.figures
        self.user = self._journal.user(plan.user_id)
        self._transport: WSTransport | None = None
        self._send_frame: Callable[[WSMsgType, bytes], None] | None = None
        self._ended = asyncio.Event()
        self._received_ns = 0
        self._pinged_ns = 0
        self._connection = 0
        self._by_us = False
        self.ready = False
        self.keep = True
        self.finished = False
        self.pause_s = 0.0

    # for subclasses

    _handle_frame: Callable[[bytes], None]
    """Called with each frame. Raises EnvelopeError for one that cannot be decoded."""

    def _connected(self, send: Callable[[WSMsgType, bytes], None]) -> None:
        """Called after the handshake, before the warm-up."""
        raise NotImplementedError

    async def _warmed_up(self) -> None:
        """Called after the warm-up; raises ConnectionLost."""
        raise NotImplementedError

    def _disconnected(self, now_ns: int) -> None:
        """Called after the connection ended."""
        raise NotImplementedError

    def _waiting_since_ns(self) -> int | None:
        """Since when the oldest request waits for its answer; None where none waits."""
        raise NotImplementedError

    # connecting

    async def run(self) -> None:
        """Connect, and reconnect with growing, random pauses, until `keep` is false."""
        attempt = 0
        while self.keep:
            try:
                await self._connect()
            except (OSError, WSError, TimeoutError, ConnectionLost) as error:
                self._figures.count_error(f"connect: {short(error)}")
            else:
                attempt = 0
                await self._until_ended()
            if self.pause_s:
                pause_s, self.pause_s = self.pause_s, 0.0
                await asyncio.sleep(pause_s)
            elif self.keep:
                settings = self._record.plan
                limit_s = min(settings.backoff_max_s, settings.backoff_s * 2**attempt)
                attempt += 1
                # Full jitter: a thousand connections that were cut together do not reconnect together.
                await asyncio.sleep(random.uniform(0.1 * limit_s, limit_s))  # noqa: S311 - no secret
        self.finished = True

    async def _connect(self) -> None:
        url, headers = self.plan.address()
        began_ns = time.monotonic_ns()
        self._ended = asyncio.Event()
        self._by_us = False
        try:
            transport, _ = await ws_connect(
                lambda: self,
                url,
                extra_headers=dict(headers),
                enable_auto_pong=True,
                max_redirects=0,
                websocket_handshake_timeout=_HANDSHAKE_S,
            )
        except WSHandshakeError as error:
            raise ConnectionLost(self._refusal(error)) from None
        if self._ended.is_set():
            raise ConnectionLost("the connection ended at once")
        now_ns = time.monotonic_ns()
        self._figures.connect_ns.append(now_ns - began_ns)
        self._received_ns, self._pinged_ns = now_ns, now_ns - int(random.random() * PING_S * 1e9)  # noqa: S311
        self._connection = self._journal.next_connection()
        self._journal.event(Kind.CONNECTED, now_ns, self._connection, self.user)
        self._transport, self._send_frame = transport, transport.send
        self._connected(transport.send)

    def _refusal(self, error: WSHandshakeError) -> str:
        """OpenIM refuses with HTTP 200 and an errCode [F104]. An invalid token (15xx) is not tried again."""
        try:
            code = int(json.loads(error.raw_body or b"")["errCode"])
        except (ValueError, KeyError, TypeError):
            status = error.response.status.value if error.response is not None else 0
            return f"the handshake was refused with HTTP {status}" if status else "the server does not speak WebSocket"
        if 1500 < code < 1600:
            self.keep = False
        return f"the handshake was refused with errCode {code}"

    async def _until_ended(self) -> None:
        """Warm up, then wait for the end of the connection."""
        try:
            async with asyncio.timeout(self._record.plan.warm_up_s):
                await self._ended.wait()
        except TimeoutError:
            try:
                await self._warmed_up()
            except ConnectionLost as error:
                self._figures.count_error(f"begin: {short(error)}")
                self.abort()
        await self._ended.wait()

    def abort(self) -> None:
        """End the connection at once."""
        self._by_us = True
        if self._transport is not None:
            self._transport.disconnect(False)

    def pause_reading(self) -> Callable[[], None] | None:
        """Read nothing from the socket until the returned function is called; None without a connection."""
        if self._transport is None:
            return None
        transport = self._transport.underlying_transport
        transport.pause_reading()

        def resume() -> None:
            if not transport.is_closing():
                transport.resume_reading()

        return resume

    def tick(self, now_ns: int) -> None:
        """Send a ping when one is due; end a connection that does not answer."""
        if self._transport is None:
            return
        waiting_since_ns = self._waiting_since_ns()
        if waiting_since_ns is not None and now_ns - waiting_since_ns > self._record.ack_deadline_ns:
            self._figures.count_error("no answer to a send in time: connection closed")
            self.abort()
        elif now_ns - self._pinged_ns > PING_S * 1e9:
            self._pinged_ns = now_ns
            self._transport.send_ping(b"")
        elif self._received_ns < self._pinged_ns and now_ns - self._pinged_ns > _PONG_S * 1e9:
            self._figures.count_error("no answer to a ping in time: connection closed")
            self.abort()

    # called by picows

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came."""
        self._received_ns = time.monotonic_ns()
        kind = frame.msg_type
        if kind == _BINARY:
            try:
                self._handle_frame(frame.get_payload_as_bytes())
            except EnvelopeError as error:
                self._figures.count_error(f"a frame that cannot be decoded: {short(error)}")
        elif kind == _CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The TCP connection ended."""
        now_ns = time.monotonic_ns()
        if self._send_frame is not None:
            self._journal.event(
                Kind.ENDED, now_ns, self._connection, self.user, code=int(self._by_us), a=self._received_ns
            )
            if not self._by_us:
                self._figures.disconnects += 1
        self._transport = self._send_frame = None
        self.ready = False
        self._disconnected(now_ns)
        self._ended.set()


def short(error: BaseException) -> str:
    """The text by which an error is counted."""
    return (str(error) or type(error).__name__)[:120]
