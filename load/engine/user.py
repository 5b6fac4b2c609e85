"""One user of the engine: sends messages when they are due, and records answers and pushes."""

from __future__ import annotations

import gzip
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from picows import WSMsgType

from fixtures.wire.envelope import Answer, codec
from fixtures.wire.identifiers import ReqIdentifier
from load.engine.connection import LoadConnection
from load.engine.frame_parser import FrameParser
from load.engine.frames import Template, content_of
from load.engine.plan import UserPlan
from load.engine.record import RunRecord
from load.engine.rpc import NOTHING_YET, RpcClient
from load.journal.layout import FAIL, INFO, OK, Kind, code_of, phase_number
from verifier.judges.recorder import outcome_of

_BINARY = WSMsgType.BINARY


class UserEvents(Protocol):
    """What the engine does when a user's state changes."""

    def user_ready(self, user: EngineUser) -> None:
        """A user is ready for the first time: its messages are due from now on."""

    def user_returned(self, user: EngineUser) -> None:
        """A user is ready again after an outage with a pause: it reads what it missed."""

    def user_answered(self, user: EngineUser, now_ns: int) -> None:
        """The closed model: an answer is in, the next message follows."""


class EngineUser(LoadConnection):
    """A user who sends, over as many connections as needed. Everything here runs in the engine's loop."""

    def __init__(self, record: RunRecord, plan: UserPlan, events: UserEvents) -> None:
        super().__init__(record, plan)
        settings, traffic, self._events = record.plan, record.plan.traffic, events
        self._window, self._gzip, self._queue_max = traffic.window, traffic.gzip, settings.queue_max
        content = content_of(settings.text)
        self._lanes: list[tuple[int, Callable[[int, int, int], bytes]]] = []
        for target in plan.targets:
            conversation = self._journal.conversation(target.conversation, target.members)
            template = Template(
                sdk_type=traffic.sdk_type,
                tag=settings.tag,
                worker=settings.worker,
                sender=plan.user_id,
                platform_id=settings.platform_id,
                peer=target.peer,
                content=content,
            )
            self._lanes.append((record.lane(self.user, conversation, target.conversation), template.frame))
        self._codec = codec(traffic.sdk_type, gzipped=traffic.gzip)
        self.parser = FrameParser(
            self, sdk_type=traffic.sdk_type, gzipped=traffic.gzip, tag=settings.tag, content=content
        )
        self._handle_frame = self.parser.parse
        self._next_lane = 0
        self._in_flight: dict[int, tuple[int, int, int]] = {}
        self.rpc = RpcClient(plan.user_id, self._codec, settings.ack_deadline_s)
        self._queue: deque[int] = deque()
        self._was_ready = False
        self.sending = True
        self.away = False
        self.newest_seq = self.marked_seq = 0

    # the connection

    def _connected(self, send: Callable[[WSMsgType, bytes], None]) -> None:
        self.rpc.connected(send)

    async def _warmed_up(self) -> None:
        await self._note_begin()
        self._become_ready()

    def _disconnected(self, now_ns: int) -> None:
        """The outcome of unanswered sends stays unknown."""
        self._give_up(now_ns)
        self.rpc.disconnected()

    def _waiting_since_ns(self) -> int | None:
        oldest = next(iter(self._in_flight.values()), None)
        return None if oldest is None else oldest[1]

    async def _note_begin(self) -> None:
        """Record the newest seq of each conversation before its first message; the first member to connect asks."""
        begin = self._record.begin
        missing = [target.conversation for target in self.plan.targets if target.conversation not in begin]
        if missing:
            found = await self.rpc.positions(missing)
            for name in missing:
                begin.setdefault(name, found.get(name, NOTHING_YET).newest + 1)

    def _become_ready(self) -> None:
        first, self._was_ready, self.ready = not self._was_ready, True, True
        if first:
            self._events.user_ready(self)
        if self.away:
            self.away = False
            self._events.user_returned(self)
        while self._queue and len(self._in_flight) < self._window and self.sending:
            self._send(self._queue.popleft())

    def _give_up(self, now_ns: int) -> None:
        record = self._record
        for count, (_, _, lane) in self._in_flight.items():
            self._journal.event(Kind.ACK, now_ns, lane, record.number_base | count, INFO)
            record.unsure.add(record.number_base | count)
        self._figures.unknown += len(self._in_flight)
        restart = bool(self._in_flight) and self.plan.due_s is None
        record.open_sends -= len(self._in_flight)
        self._in_flight.clear()
        if restart and self.sending:
            self._queue.append(now_ns)

    # sends

    def due(self, due_ns: int) -> None:
        """A message is due. One that cannot be sent now is queued and keeps its due time."""
        if not self.sending:
            return
        if self.ready and len(self._in_flight) < self._window:
            self._send(due_ns)
        elif len(self._queue) < self._queue_max:
            self._queue.append(due_ns)
        else:
            self._figures.unsent += 1

    def _send(self, due_ns: int) -> None:
        record, figures = self._record, self._figures
        send = self._send_frame
        if send is None or not self._lanes:
            return
        lane, frame = self._lanes[self._next_lane]
        self._next_lane += 1
        if self._next_lane == len(self._lanes):
            self._next_lane = 0
        count = record.count = record.count + 1
        now_ns = time.monotonic_ns()
        data = frame(count, (now_ns + record.wall_ns) // 1_000_000, due_ns + record.wall_ns)
        if self._gzip:
            data = gzip.compress(data, compresslevel=1, mtime=0)
        # Recorded first: a message that is sent and not in the journal could not be accounted for.
        self._journal.event(Kind.SEND, now_ns, lane, record.number_base | count, 0, 0, due_ns)
        self._in_flight[count] = due_ns, now_ns, lane
        record.open_sends += 1
        figures.sent += 1
        figures.sent_bytes += len(data)
        send(_BINARY, data)

    # called by the parser

    def acked(self, count: int, err_code: int, message_id: int) -> None:
        """The answer to a send."""
        opened = self._in_flight.pop(count, None)
        figures = self._figures
        if opened is None:
            figures.strays += 1
            return
        now_ns, record = self._received_ns, self._record
        due_ns, _, lane = opened
        record.open_sends -= 1
        if err_code == 0:
            self._journal.event(Kind.ACK, now_ns, lane, record.number_base | count, OK, 0, 0, message_id)
            figures.acked += 1
            record.lane_acked[lane] += 1
            figures.ack_ns.append(now_ns - due_ns)
        else:
            self._failed(now_ns, lane, count, err_code)
        if not self.sending:
            return
        if self._queue:
            if self.ready:
                self._send(self._queue.popleft())
        elif self.plan.due_s is None:
            self._events.user_answered(self, now_ns)

    def _failed(self, now_ns: int, lane: int, count: int, err_code: int) -> None:
        phase = phase_number(outcome_of(err_code))
        number = self._record.number_base | count
        self._journal.event(Kind.ACK, now_ns, lane, number, phase, code_of(err_code))
        if phase == FAIL:
            self._figures.refused += 1
        else:
            self._figures.unknown += 1
            self._record.unsure.add(number)
        self._figures.count_error(f"send: errCode {err_code}")

    def received(self, number: int, seq: int, message_id: int, due_ns: int, altered: bool) -> None:
        """A message of the run was pushed."""
        now_ns, figures = self._received_ns, self._figures
        self._record.pushed_ns = now_ns
        self._journal.event(Kind.PUSHED, now_ns, self._connection, number, OK, altered, seq, message_id)
        figures.pushes += 1
        if seq > self.newest_seq:
            self.newest_seq = seq
        if due_ns > 0:
            figures.push_ns.append(now_ns + self._record.wall_ns - due_ns)

    def other(self, answer: Answer) -> None:
        """An answer to another request, or a frame that is not the run's."""
        if answer.req_identifier == ReqIdentifier.KICKED:
            # A connection with another token replaced it; reconnecting would kick that one [F107].
            self._figures.count_error("kicked by another connection")
            self.keep = False
        else:
            self.rpc.answered(answer)

    @property
    def in_flight(self) -> int:
        """How many sends are unanswered."""
        return len(self._in_flight)

    @property
    def backlog(self) -> int:
        """How many due messages wait."""
        return len(self._queue)
