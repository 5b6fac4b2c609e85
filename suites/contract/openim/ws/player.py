"""Playing a recorded session to a server: the client lines in order, each after what preceded it has arrived."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fixtures.clients.raw_websocket import Opcode
from suites.contract.openim.shared.target import Target
from suites.contract.openim.shared.traced_connection import Trace, TracedConnection
from suites.contract.openim.ws import client_frames, frames
from suites.contract.openim.ws.accounts import Accounts
from suites.contract.openim.ws.bindings import SessionBindings
from suites.contract.openim.ws.recording import Line, Session, Source, group_in
from suites.contract.openim.ws.session_settings import SessionSettings
from suites.contract.openim.ws.streams import stream_of, stream_of_frame

# The notes in a recording that are instructions.
_DROPS = re.compile(r"(\S+) drops (?:the )?TCP")
_NEXT_ISSUED = "new token issued"
# Shorter pauses of the recording are not repeated.
_PAUSE_MS = 200


@dataclass
class SessionResult:
    """What a replayed session showed.

    Attributes:
        traces: label of a connection -> its trace.
        answers: number of a REST line -> its answer; with a status other than 200 `{"$status": …, "$body": …}`.
        sent: number of a client line -> the bytes that were sent for it.
        pauses: number of a line -> the recorded pause before it, in ms.
        acted_at_s: number of a line -> when it was carried out, by the monotonic clock.
    """

    session: Session
    bindings: SessionBindings
    traces: dict[str, Trace] = field(default_factory=dict)
    answers: dict[int, Any] = field(default_factory=dict)
    sent: dict[int, bytes] = field(default_factory=dict)
    pauses: dict[int, int] = field(default_factory=dict)
    acted_at_s: dict[int, float] = field(default_factory=dict)
    heartbeat_scale: float = 1.0


async def play(session: Session, target: Target, settings: SessionSettings) -> SessionResult:
    """Play a session. Raises httpx.HTTPError, and AccountError where its users cannot be created."""
    bindings = SessionBindings(session, admin=target.admin)
    player = _Player(session, target, settings, bindings)
    try:
        await player.prepare()
        for line in session.lines:
            await player.line(line)
        await player.finish()
    finally:
        await player.drop_all()
    return player.result


class _Player:
    def __init__(self, session: Session, target: Target, settings: SessionSettings, bindings: SessionBindings) -> None:
        assert target.gateway is not None
        self.result = SessionResult(session, bindings, heartbeat_scale=target.gateway.heartbeat_scale)
        self._session, self._target, self._gateway, self._settings = session, target, target.gateway, settings
        self._bindings = bindings
        self._accounts = Accounts(target, session, bindings)
        self._connections: dict[str, TracedConnection] = {}
        self._changed = asyncio.Event()
        # Frames by connection and stream: how many the recording shows up to now, and how many have arrived.
        self._expected: Counter[tuple[str, str]] = Counter()
        self._arrived: Counter[tuple[str, str]] = Counter()
        self._counted: Counter[str] = Counter()
        # Server lines since the last client line, and those that an earlier REST call may have caused.
        self._fresh: list[Line] = []
        self._held: list[Line] = []
        self._last_ms = 0
        self._waited_ms = 0

    async def prepare(self) -> None:
        """Create the users and their first tokens."""
        await self._accounts.prepare(all_at_once=self._settings.tokens_first)

    async def line(self, line: Line) -> None:
        """Process one line of the recording."""
        if line.source is Source.NOTE:
            await self._note(line)
            return
        pause_ms, self._last_ms = line.t_ms - self._last_ms, line.t_ms
        if line.pause_ms is not None:
            pause_ms = line.pause_ms
        self.result.pauses[line.number] = pause_ms
        if line.source is Source.SERVER:
            if line.kind != "ping" or self._settings.heartbeat:
                self._fresh.append(line)
            return
        if line.kind == "pong" and not self._settings.heartbeat and self._answers_ping(line):
            return  # the connection answers pings itself
        await self._ready(line)
        if pause_ms >= _PAUSE_MS:
            await asyncio.sleep(min(pause_ms / 1000, self._gateway.settle_s))
        self._waited_ms = line.t_ms
        self.result.acted_at_s[line.number] = time.monotonic()
        if line.source is Source.REST:
            await self._rest(line, pause_ms)
        else:
            await self._act(line)

    def _answers_ping(self, line: Line) -> bool:
        before = self._session.lines[line.number - 1]
        return before.kind == "ping" and before.source is Source.SERVER

    async def _note(self, line: Line) -> None:
        self.result.acted_at_s[line.number] = time.monotonic()
        text = line.decoded["note"]
        if text.startswith(_NEXT_ISSUED):
            await self._accounts.issue_next()
        if dropped := _DROPS.match(text):
            await self._ready(line)
            await asyncio.sleep(self._gateway.settle_s)
            await self._connections[dropped[1]].drop()

    async def _act(self, line: Line) -> None:
        if line.kind == "handshake":
            await self._accounts.issue_for(line)
            await self._connect(line)
            return
        payload = client_frames.encode(line, self._bindings, self._now_ms()) if line.kind == "binary" else line.raw
        self.result.sent[line.number] = payload
        await self._connections[line.conn].send(Opcode[line.kind.upper()], payload)

    async def _connect(self, line: Line) -> None:
        auto_pong = not self._settings.heartbeat
        connection = TracedConnection(clock=time.monotonic, changed=self._changed.set, auto_pong=auto_pong)
        self._connections[line.conn] = connection
        self.result.traces[line.conn] = connection.trace
        host, port = self._gateway.host, self._gateway.port
        try:
            head = self._bindings.head(line.raw, f"{host}:{port}")
            self.result.sent[line.number] = head
            await connection.open(host, port, head, timeout_s=self._gateway.patience_s, tls=self._gateway.tls)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            connection.trace.end = connection.trace.end or "eof"

    async def _rest(self, line: Line, pause_ms: int) -> None:
        if line.decoded["path"] == "/auth/get_user_token":
            await self._accounts.pace(pause_ms)
        status, answer = await self._accounts.call(line.decoded)
        self.result.answers[line.number] = answer if status == 200 else {"$status": status, "$body": answer}
        recorded = group_in(line.decoded["response"])
        actual = group_in(answer)
        if recorded is not None and actual is not None:
            self._bindings.bind(recorded, actual)
        self._accounts.learn(line.decoded["response"], answer)

    def _now_ms(self) -> int:
        return int(self._target.clock.now_s() * 1000)

    async def _ready(self, line: Line) -> None:
        """Wait for what the recorded client had received by now.

        A REST line is recorded when its answer arrives. The frames before it that the call itself may have caused are
        waited for later.
        """
        self._expect(self._held)
        self._held = []
        if line.source is Source.REST:
            self._held = [one for one in self._fresh if _may_be_caused_by_rest(one)]
        self._expect(one for one in self._fresh if one not in self._held)
        self._fresh = []
        await self._wait((line.t_ms - self._waited_ms) / 1000)

    def _expect(self, lines: Iterable[Line]) -> None:
        for line in lines:
            stream = stream_of(line)
            if stream != "handshake":
                self._expected[line.conn, stream] += 1

    async def _wait(self, recorded_s: float) -> None:
        limit_s = self._gateway.patience_s
        if self._settings.heartbeat:
            limit_s += recorded_s * self._gateway.heartbeat_scale * 1.3
        deadline = time.monotonic() + limit_s
        while self._missing():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            self._changed.clear()
            if self._missing():
                try:
                    await asyncio.wait_for(self._changed.wait(), left_s)
                except TimeoutError:
                    break
        for key, count in self._missing().items():
            self._expected[key] -= count  # waited for once; the judge reports them as missing

    def _missing(self) -> Counter[tuple[str, str]]:
        for conn, connection in self._connections.items():
            self._count(conn, connection.trace)
        missing = self._expected - self._arrived
        ended = {conn for conn, connection in self._connections.items() if connection.trace.end}
        return Counter({key: count for key, count in missing.items() if key[0] not in ended})

    def _count(self, conn: str, trace: Trace) -> None:
        new = trace.frames[self._counted[conn] :]
        self._counted[conn] += len(new)
        for frame in new:
            self._arrived[conn, stream_of_frame(frame, self._session.encodings[conn])] += 1
        if trace.end and not self._arrived[conn, "end"]:
            self._arrived[conn, "end"] = 1

    async def finish(self) -> None:
        """Wait for the remaining frames, and then for unexpected ones to arrive."""
        self._expect([*self._held, *self._fresh])
        await self._wait((self._last_ms - self._waited_ms) / 1000)
        if any(not connection.trace.end for connection in self._connections.values()):
            await asyncio.sleep(self._gateway.settle_s)

    async def drop_all(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            await connection.drop()


def _may_be_caused_by_rest(line: Line) -> bool:
    if line.kind == "close":
        return True
    if line.kind != "binary":
        return False
    if frames.is_push(line.decoded_frame):
        return not str(line.decoded_frame.get("operationID", "")).startswith("op-")
    return frames.is_kick(line.decoded_frame)
