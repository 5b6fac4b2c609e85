"""A connection that is kept: made, warmed up, pinged, given up, made again. What travels over it is its heir's business."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from picows import WSError, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from fixtures.wire.envelope import EnvelopeError
from load.engine.plan import PING_S, UserPlan
from load.engine.rpc import Dead
from load.journal.layout import Kind

if TYPE_CHECKING:
    from load.engine.engine import Engine

_HANDSHAKE_S: Final = 10.0
_PONG_S: Final = 10.0
_BINARY, _CLOSE = WSMsgType.BINARY, WSMsgType.CLOSE


class Connection(WSListener):
    """One user's connections, one after the other, until `keep` is false. Everything here runs in the engine's loop.

    `ready`: connected and warm, so that what is sent is also pushed. `rest_s`: how long to stay away after the next end.
    """

    def __init__(self, engine: Engine, plan: UserPlan) -> None:
        self._engine, self.plan = engine, plan
        self._journal, self._figures = engine.journal, engine.figures
        self.user = self._journal.user(plan.user_id)
        self._transport: WSTransport | None = None
        self._send_frame: Callable[[WSMsgType, bytes], None] | None = None
        self._gone = asyncio.Event()
        self._heard_ns = 0
        self._pinged_ns = 0
        self._connection = 0
        self._by_us = False
        self.ready = False
        self.keep = True
        self.finished = False
        self.rest_s = 0.0

    # what the heir knows

    _hear: Callable[[bytes], None]
    """Takes each frame. Raises EnvelopeError for one that cannot be read."""

    def _opened(self, send: Callable[[WSMsgType, bytes], None]) -> None:
        """A connection stands; it is not warm yet."""
        raise NotImplementedError

    async def _warm(self) -> None:
        """It is warm. Raises Dead where it turns out to be of no use."""
        raise NotImplementedError

    def _closed(self, now_ns: int) -> None:
        """It is over."""
        raise NotImplementedError

    def _waiting_since_ns(self) -> int | None:
        """Since when the oldest request waits for its answer; None where nothing waits."""
        raise NotImplementedError

    # its life

    async def live(self) -> None:
        """Connect, and connect again with growing, random pauses, until told to end."""
        attempt = 0
        while self.keep:
            try:
                await self._connect()
            except (OSError, WSError, TimeoutError, Dead) as error:
                self._figures.trouble(f"connect: {short(error)}")
            else:
                attempt = 0
                await self._stand()
            if self.rest_s:
                rest_s, self.rest_s = self.rest_s, 0.0
                await asyncio.sleep(rest_s)
            elif self.keep:
                settings = self._engine.plan
                limit_s = min(settings.backoff_max_s, settings.backoff_s * 2**attempt)
                attempt += 1
                # Full jitter: a thousand that were cut off together do not come back together.
                await asyncio.sleep(random.uniform(0.1 * limit_s, limit_s))  # noqa: S311 - no secret
        self.finished = True

    async def _connect(self) -> None:
        url, headers = self.plan.address()
        began_ns = time.monotonic_ns()
        self._gone = asyncio.Event()
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
            raise Dead(self._refused(error)) from None
        if self._gone.is_set():
            raise Dead("the connection ended at once")
        now_ns = time.monotonic_ns()
        self._figures.connect_ns.append(now_ns - began_ns)
        self._heard_ns, self._pinged_ns = now_ns, now_ns - int(random.random() * PING_S * 1e9)  # noqa: S311
        self._connection = self._journal.next_connection()
        self._journal.event(Kind.CONNECTED, now_ns, self._connection, self.user)
        self._transport, self._send_frame = transport, transport.send
        self._opened(transport.send)

    def _refused(self, error: WSHandshakeError) -> str:
        """OpenIM refuses with HTTP 200 and an errCode; a dead token will not get better by itself."""
        try:
            code = int(json.loads(error.raw_body or b"")["errCode"])
        except (ValueError, KeyError, TypeError):
            status = error.response.status.value if error.response is not None else 0
            return f"the handshake was refused with HTTP {status}" if status else "the server speaks no WebSocket"
        if 1500 < code < 1600:
            self.keep = False
        return f"the handshake was refused with errCode {code}"

    async def _stand(self) -> None:
        """Warm up, be of use, and wait for the end."""
        try:
            async with asyncio.timeout(self._engine.plan.warm_up_s):
                await self._gone.wait()
        except TimeoutError:
            try:
                await self._warm()
            except Dead as error:
                self._figures.trouble(f"begin: {short(error)}")
                self.abort()
        await self._gone.wait()

    def abort(self) -> None:
        """End the connection at once."""
        self._by_us = True
        if self._transport is not None:
            self._transport.disconnect(False)

    def pause_reading(self) -> Callable[[], None] | None:
        """Take nothing from the socket until the returned function is called; None without a connection."""
        if self._transport is None:
            return None
        transport = self._transport.underlying_transport
        transport.pause_reading()

        def resume() -> None:
            if not transport.is_closing():
                transport.resume_reading()

        return resume

    def tick(self, now_ns: int) -> None:
        """Look after the connection: say that we are there, give up one that does not answer."""
        if self._transport is None:
            return
        waiting_since_ns = self._waiting_since_ns()
        if waiting_since_ns is not None and now_ns - waiting_since_ns > self._engine.ack_deadline_ns:
            self._figures.trouble("no answer to a send in time: connection given up")
            self.abort()
        elif now_ns - self._pinged_ns > PING_S * 1e9:
            self._pinged_ns = now_ns
            self._transport.send_ping(b"")
        elif self._heard_ns < self._pinged_ns and now_ns - self._pinged_ns > _PONG_S * 1e9:
            self._figures.trouble("no answer to a ping in time: connection given up")
            self.abort()

    # what the library calls

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came."""
        self._heard_ns = time.monotonic_ns()
        kind = frame.msg_type
        if kind == _BINARY:
            try:
                self._hear(frame.get_payload_as_bytes())
            except EnvelopeError as error:
                self._figures.trouble(f"a frame that cannot be read: {short(error)}")
        elif kind == _CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """TCP is over."""
        now_ns = time.monotonic_ns()
        if self._send_frame is not None:
            self._journal.event(
                Kind.ENDED, now_ns, self._connection, self.user, code=int(self._by_us), a=self._heard_ns
            )
            if not self._by_us:
                self._figures.disconnects += 1
        self._transport = self._send_frame = None
        self.ready = False
        self._closed(now_ns)
        self._gone.set()


def short(error: BaseException) -> str:
    """What a trouble is counted by."""
    return (str(error) or type(error).__name__)[:120]
