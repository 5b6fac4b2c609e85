"""Playing one recorded session against a server: the client lines in order, each when what came before it has come."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from suites.contract.openim.target import Target
from suites.contract.openim.ws import frames, outgoing
from suites.contract.openim.ws.accounts import Accounts
from suites.contract.openim.ws.client import Connection, Frame, Trace
from suites.contract.openim.ws.notes import Notes
from suites.contract.openim.ws.recording import Line, Session, Source, group_in
from suites.contract.openim.ws.symbols import Symbols

_DROPS = re.compile(r"(\S+) drops (?:the )?TCP")
_NEXT_ISSUED = "new token issued"
_PAUSE_MS = 200


@dataclass
class Performed:
    """What a session showed: a trace for each connection, and by the number of the recorded line the answer to a REST
    call, what a client line sent, the recorded pause before it, and when it was done."""

    session: Session
    symbols: Symbols
    traces: dict[str, Trace] = field(default_factory=dict)
    answers: dict[int, Any] = field(default_factory=dict)
    sent: dict[int, bytes] = field(default_factory=dict)
    pauses: dict[int, int] = field(default_factory=dict)
    acted_at_s: dict[int, float] = field(default_factory=dict)
    heartbeat_scale: float = 1.0


async def perform(session: Session, target: Target, notes: Notes) -> Performed:
    """Play a session. Raises httpx.HTTPError or AccountError where its users cannot be made."""
    symbols = Symbols(session, admin=target.admin)
    player = _Player(session, target, notes, symbols)
    try:
        await player.prepare()
        for line in session.lines:
            await player.line(line)
        await player.finish()
    finally:
        await player.drop_all()
    return player.performed


def stream_of(line: Line) -> str:
    """Which of a connection's streams a server line belongs to: they are ordered in themselves, not among each other."""
    if line.is_tcp_end:
        return "end"
    if line.kind == "binary":
        return stream_of_binary(line.shown)
    return line.kind if line.kind in ("ping", "close", "handshake") else "reply"


def stream_of_binary(shown: dict[str, Any]) -> str:
    """The same for a binary frame."""
    if frames.is_push(shown):
        return "push"
    return "kick" if frames.is_kick(shown) else "reply"


class _Player:
    def __init__(self, session: Session, target: Target, notes: Notes, symbols: Symbols) -> None:
        assert target.gateway is not None
        self.performed = Performed(session, symbols, heartbeat_scale=target.gateway.heartbeat_scale)
        self._session, self._target, self._gateway, self._notes = session, target, target.gateway, notes
        self._symbols = symbols
        self._accounts = Accounts(target, session, symbols)
        self._connections: dict[str, Connection] = {}
        self._changed = asyncio.Event()
        self._due: Counter[tuple[str, str]] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._counted: Counter[str] = Counter()
        self._fresh: list[Line] = []
        self._held: list[Line] = []
        self._last_ms = 0
        self._waited_ms = 0

    async def prepare(self) -> None:
        """Make the users and their first tokens."""
        await self._accounts.prepare(all_at_once=self._notes.tokens_first)

    async def line(self, line: Line) -> None:
        """One line of the recording."""
        if line.source is Source.NOTE:
            await self._note(line)
            return
        pause_ms, self._last_ms = line.t_ms - self._last_ms, line.t_ms
        if line.pause_ms is not None:
            pause_ms = line.pause_ms
        self.performed.pauses[line.number] = pause_ms
        if line.source is Source.SERVER:
            if line.kind != "ping" or self._notes.heartbeat:
                self._fresh.append(line)
            return
        if line.kind == "pong" and not self._notes.heartbeat and self._answers_ping(line):
            return  # answered when it came
        await self._ready(line)
        if pause_ms >= _PAUSE_MS:
            await asyncio.sleep(min(pause_ms / 1000, self._gateway.settle_s))
        self._waited_ms = line.t_ms
        self.performed.acted_at_s[line.number] = time.monotonic()
        if line.source is Source.REST:
            await self._rest(line, pause_ms)
        else:
            await self._act(line)

    def _answers_ping(self, line: Line) -> bool:
        before = self._session.lines[line.number - 1]
        return before.kind == "ping" and before.source is Source.SERVER

    async def _note(self, line: Line) -> None:
        self.performed.acted_at_s[line.number] = time.monotonic()
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
        payload = outgoing.encode(line, self._symbols, self._now_ms()) if line.kind == "binary" else line.raw
        self.performed.sent[line.number] = payload
        await self._connections[line.conn].send(line.kind, payload)

    async def _connect(self, line: Line) -> None:
        connection = Connection(clock=time.monotonic, changed=self._changed.set, auto_pong=not self._notes.heartbeat)
        self._connections[line.conn] = connection
        self.performed.traces[line.conn] = connection.trace
        host, port = self._gateway.host, self._gateway.port
        try:
            head = self._symbols.head(line.raw, f"{host}:{port}")
            self.performed.sent[line.number] = head
            await connection.open(host, port, head, timeout_s=self._gateway.patience_s, tls=self._gateway.tls)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            connection.trace.end = connection.trace.end or "eof"

    async def _rest(self, line: Line, pause_ms: int) -> None:
        if line.decoded["path"] == "/auth/get_user_token":
            await self._accounts.pace(pause_ms)
        status, answer = await self._accounts.call(line.decoded)
        self.performed.answers[line.number] = answer if status == 200 else {"$status": status, "$body": answer}
        recorded = group_in(line.decoded["response"])
        actual = group_in(answer)
        if recorded is not None and actual is not None:
            self._symbols.bind(recorded, actual)
        self._accounts.learn(line.decoded["response"], answer)

    def _now_ms(self) -> int:
        return int(self._target.clock.now_s() * 1000)

    async def _ready(self, line: Line) -> None:
        """Wait for what the recording had seen by now. A REST line stands where its answer came: what it may have
        caused itself is not waited for."""
        self._owe(self._held)
        self._held = []
        if line.source is Source.REST:
            self._held = [one for one in self._fresh if _may_come_of_rest(one)]
        self._owe(one for one in self._fresh if one not in self._held)
        self._fresh = []
        await self._await_due((line.t_ms - self._waited_ms) / 1000)

    def _owe(self, lines: Iterable[Line]) -> None:
        for line in lines:
            stream = stream_of(line)
            if stream != "handshake":
                self._due[line.conn, stream] += 1

    async def _await_due(self, recorded_s: float) -> None:
        limit_s = self._gateway.patience_s
        if self._notes.heartbeat:
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
            self._due[key] -= count  # waited for once; the judge tells

    def _missing(self) -> Counter[tuple[str, str]]:
        for conn, connection in self._connections.items():
            self._count(conn, connection.trace)
        missing = self._due - self._seen
        ended = {conn for conn, connection in self._connections.items() if connection.trace.end}
        return Counter({key: count for key, count in missing.items() if key[0] not in ended})

    def _count(self, conn: str, trace: Trace) -> None:
        new = trace.frames[self._counted[conn] :]
        self._counted[conn] += len(new)
        for frame in new:
            self._seen[conn, frame_stream(frame, self._session.encodings[conn])] += 1
        if trace.end and not self._seen[conn, "end"]:
            self._seen[conn, "end"] = 1

    async def finish(self) -> None:
        """Wait for the rest, and a while longer for what should not come."""
        self._owe([*self._held, *self._fresh])
        await self._await_due((self._last_ms - self._waited_ms) / 1000)
        if any(not connection.trace.end for connection in self._connections.values()):
            await asyncio.sleep(self._gateway.settle_s)

    async def drop_all(self) -> None:
        """Leave no connection open."""
        for connection in self._connections.values():
            await connection.drop()


def frame_stream(frame: Frame, encoding: str) -> str:
    """`stream_of`, for a frame that came."""
    if frame.kind == "binary":
        return stream_of_binary(frames.decode_answer(encoding, frame.payload))
    return frame.kind if frame.kind in ("ping", "close") else "reply"


def _may_come_of_rest(line: Line) -> bool:
    if line.kind == "close":
        return True
    if line.kind != "binary":
        return False
    if frames.is_push(line.shown):
        return not str(line.shown.get("operationID", "")).startswith("op-")
    return frames.is_kick(line.shown)
