"""One user of the engine: a connection that is kept, messages that go out when they are due, answers and pushes noted."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from picows import WSError, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from fixtures.wire.envelope import Answer, EnvelopeError, codec
from fixtures.wire.identifiers import ReqIdentifier
from load.engine.frames import Template, content_of
from load.engine.hearing import Listener
from load.engine.plan import PING_S, UserPlan
from load.engine.questions import Dead, Questions
from load.journal.layout import FAIL, INFO, OK, Kind
from verifier.judges.scribe import outcome_of

if TYPE_CHECKING:
    from load.engine.engine import Engine

_HANDSHAKE_S: Final = 10.0
_PONG_S: Final = 10.0
_CODE_MAX: Final = 0xFFFF
_BINARY, _PING, _PONG, _CLOSE = WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE
_PHASES = {"ok": OK, "fail": FAIL, "info": INFO}


class Member(WSListener):
    """A user, over as many connections as it takes. Everything here runs in the engine's loop."""

    def __init__(self, engine: Engine, plan: UserPlan) -> None:
        self._engine, self.plan = engine, plan
        self._journal, self._figures = engine.journal, engine.figures
        settings = engine.plan
        content = content_of(settings.text)
        self.user = self._journal.user(plan.user_id)
        self._lanes: list[tuple[int, Callable[[int, int, int], bytes]]] = []
        for target in plan.targets:
            conversation = self._journal.conversation(target.conversation, target.members)
            template = Template(
                sdk_type=settings.sdk_type,
                tag=settings.tag,
                worker=settings.worker,
                sender=plan.user_id,
                platform_id=settings.platform_id,
                peer=target.peer,
                content=content,
            )
            lane = self._journal.lane(self.user, conversation)
            self._lanes.append((lane, template.frame))
            engine.lane_acked += [0] * (lane + 1 - len(engine.lane_acked))
        self._codec = codec(settings.sdk_type, gzipped=settings.gzipped)
        self.listener = Listener(
            self, sdk_type=settings.sdk_type, gzipped=settings.gzipped, tag=settings.tag, content=content
        )
        self._hear = self.listener.hear
        self._turn = 0
        self._transport: WSTransport | None = None
        self._send_frame: Callable[[WSMsgType, bytes], None] | None = None
        self._in_flight: dict[int, tuple[int, int, int]] = {}
        self.questions = Questions(plan.user_id, self._codec, settings.ack_deadline_s)
        self._queue: deque[int] = deque()
        self._gone = asyncio.Event()
        self._heard_ns = 0
        self._pinged_ns = 0
        self._connection = 0
        self._by_us = False
        self.ready = False
        self.sending = True
        self.keep = True
        self.finished = False
        self.resting = False
        self.rest_s = 0.0

    # the connection

    async def live(self) -> None:
        """Connect, and connect again with growing, random pauses, until told to end."""
        attempt = 0
        while self.keep:
            try:
                await self._connect()
            except (OSError, WSError, TimeoutError, Dead) as error:
                self._figures.trouble(f"connect: {_short(error)}")
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
        self.questions.begin(transport.send)

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
        """Warm up, send, and wait for the end."""
        try:
            async with asyncio.timeout(self._engine.plan.warm_up_s):
                await self._gone.wait()
        except TimeoutError:
            try:
                await self._note_begin()
            except Dead as error:
                self._figures.trouble(f"begin: {_short(error)}")
                self.abort()
            else:
                self._be_ready()
        await self._gone.wait()

    async def _note_begin(self) -> None:
        """Where each conversation stands before the first message; the first of its members to come finds out."""
        begin = self._engine.begin
        missing = [target.conversation for target in self.plan.targets if target.conversation not in begin]
        if missing:
            newest = await self.questions.max_seqs(missing)
            for name in missing:
                begin.setdefault(name, newest.get(name, 0) + 1)

    def _be_ready(self) -> None:
        first, self.ready = not self._engine.was_ready(self), True
        if first:
            self._engine.became_ready(self)
        if self.resting:
            self.resting = False
            self._engine.came_back(self)
        while self._queue and len(self._in_flight) < self._engine.plan.window and self.sending:
            self._send(self._queue.popleft())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The library: TCP is over. What was not answered is unknown for ever."""
        now_ns = time.monotonic_ns()
        if self._send_frame is not None:
            self._journal.event(
                Kind.ENDED, now_ns, self._connection, self.user, code=int(self._by_us), a=self._heard_ns
            )
            if not self._by_us:
                self._figures.disconnects += 1
        self._transport = self._send_frame = None
        self.ready = False
        self._give_up(now_ns)
        self.questions.end()
        self._gone.set()

    def _give_up(self, now_ns: int) -> None:
        base = self._engine.number_base
        for count, (_, _, lane) in self._in_flight.items():
            self._journal.event(Kind.ACK, now_ns, lane, base | count, INFO)
        self._figures.unknown += len(self._in_flight)
        restart = bool(self._in_flight) and self.plan.due_s is None
        self._engine.open_sends -= len(self._in_flight)
        self._in_flight.clear()
        if restart and self.sending:
            self._queue.append(now_ns)

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
        deadline_ns = self._engine.ack_deadline_ns
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and now_ns - oldest[1] > deadline_ns:
            self._figures.trouble("no answer to a send in time: connection given up")
            self.abort()
        elif now_ns - self._pinged_ns > PING_S * 1e9:
            self._pinged_ns = now_ns
            self._transport.send_ping(b"")
        elif self._heard_ns < self._pinged_ns and now_ns - self._pinged_ns > _PONG_S * 1e9:
            self._figures.trouble("no answer to a ping in time: connection given up")
            self.abort()

    # messages

    def due(self, due_ns: int) -> None:
        """A message is due. One that cannot go now waits; it keeps the moment at which it was due."""
        if not self.sending:
            return
        if self.ready and len(self._in_flight) < self._engine.plan.window:
            self._send(due_ns)
        elif len(self._queue) < self._engine.plan.queue_max:
            self._queue.append(due_ns)
        else:
            self._figures.unsent += 1

    def _send(self, due_ns: int) -> None:
        engine, figures = self._engine, self._figures
        send = self._send_frame
        if send is None or not self._lanes:
            return
        lane, frame = self._lanes[self._turn]
        self._turn += 1
        if self._turn == len(self._lanes):
            self._turn = 0
        count = engine.count = engine.count + 1
        now_ns = time.monotonic_ns()
        data = frame(count, (now_ns + engine.wall_ns) // 1_000_000, due_ns + engine.wall_ns)
        if engine.plan.gzipped:
            data = gzip.compress(data, compresslevel=1, mtime=0)
        # Written down first: what is sent and not in the journal could never be accounted for.
        self._journal.event(Kind.SEND, now_ns, lane, engine.number_base | count, 0, 0, due_ns)
        self._in_flight[count] = due_ns, now_ns, lane
        engine.open_sends += 1
        figures.sent += 1
        figures.sent_bytes += len(data)
        send(_BINARY, data)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """The library: a frame came."""
        self._heard_ns = time.monotonic_ns()
        kind = frame.msg_type
        if kind == _BINARY:
            try:
                self._hear(frame.get_payload_as_bytes())
            except EnvelopeError as error:
                self._figures.trouble(f"a frame that cannot be read: {_short(error)}")
        elif kind == _CLOSE:
            transport.disconnect()

    # what the listener hears

    def acked(self, count: int, err_code: int, message_id: int) -> None:
        """The answer to a send."""
        opened = self._in_flight.pop(count, None)
        figures = self._figures
        if opened is None:
            figures.strays += 1
            return
        now_ns, engine = self._heard_ns, self._engine
        due_ns, _, lane = opened
        engine.open_sends -= 1
        if err_code == 0:
            self._journal.event(Kind.ACK, now_ns, lane, engine.number_base | count, OK, 0, 0, message_id)
            figures.acked += 1
            engine.lane_acked[lane] += 1
            figures.ack_ns.append(now_ns - due_ns)
        else:
            self._not_taken(now_ns, lane, count, err_code)
        if not self.sending:
            return
        if self._queue:
            if self.ready:
                self._send(self._queue.popleft())
        elif self.plan.due_s is None:
            engine.again(self, now_ns)

    def _not_taken(self, now_ns: int, lane: int, count: int, err_code: int) -> None:
        phase = _PHASES[outcome_of(err_code).value]
        code = err_code if 0 <= err_code <= _CODE_MAX else _CODE_MAX
        self._journal.event(Kind.ACK, now_ns, lane, self._engine.number_base | count, phase, code)
        if phase == FAIL:
            self._figures.refused += 1
        else:
            self._figures.unknown += 1
        self._figures.trouble(f"send: errCode {err_code}")

    def seen(self, number: int, seq: int, message_id: int, due_ns: int, altered: bool) -> None:
        """A message of the run was pushed."""
        now_ns, figures = self._heard_ns, self._figures
        self._journal.event(Kind.PUSHED, now_ns, self._connection, number, OK, altered, seq, message_id)
        figures.pushes += 1
        if due_ns > 0:
            figures.push_ns.append(now_ns + self._engine.wall_ns - due_ns)

    def other(self, answer: Answer) -> None:
        """An answer to a question, or something that is not the run's."""
        if answer.req_identifier == ReqIdentifier.KICKED:
            # Another connection with another token took its place; coming back would kick that one.
            self._figures.trouble("kicked by another connection")
            self.keep = False
        else:
            self.questions.answered(answer)

    def acked_by_conversation(self) -> dict[str, int]:
        """How many of its sends were acknowledged."""
        acked = self._engine.lane_acked
        return {
            target.conversation: acked[lane] for target, (lane, _) in zip(self.plan.targets, self._lanes, strict=True)
        }

    @property
    def in_flight(self) -> int:
        """How many sends are unanswered."""
        return len(self._in_flight)

    @property
    def backlog(self) -> int:
        """How many due messages wait."""
        return len(self._queue)


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:120]
