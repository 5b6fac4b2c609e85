"""One user of the engine: messages that go out when they are due, answers and pushes noted."""

from __future__ import annotations

import gzip
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from picows import WSMsgType

from fixtures.wire.envelope import Answer, codec
from fixtures.wire.identifiers import ReqIdentifier
from load.engine.connection import Connection
from load.engine.frame_parser import Listener
from load.engine.frames import Template, content_of
from load.engine.plan import UserPlan
from load.engine.rpc import NOTHING_YET, Questions
from load.journal.layout import FAIL, INFO, OK, Kind, code_of, phase_number
from verifier.judges.recorder import outcome_of

if TYPE_CHECKING:
    from load.engine.engine import Engine

_BINARY = WSMsgType.BINARY


class Member(Connection):
    """A user who sends, over as many connections as it takes. Everything here runs in the engine's loop."""

    def __init__(self, engine: Engine, plan: UserPlan) -> None:
        super().__init__(engine, plan)
        settings = engine.plan
        content = content_of(settings.text)
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
            engine.lanes_of.setdefault(target.conversation, []).append(lane)
        self._codec = codec(settings.sdk_type, gzipped=settings.gzipped)
        self.listener = Listener(
            self, sdk_type=settings.sdk_type, gzipped=settings.gzipped, tag=settings.tag, content=content
        )
        self._hear = self.listener.hear
        self._turn = 0
        self._in_flight: dict[int, tuple[int, int, int]] = {}
        self.questions = Questions(plan.user_id, self._codec, settings.ack_deadline_s)
        self._queue: deque[int] = deque()
        self.sending = True
        self.resting = False
        self.newest_seq = self.marked_seq = 0

    # the connection

    def _opened(self, send: Callable[[WSMsgType, bytes], None]) -> None:
        self.questions.begin(send)

    async def _warm(self) -> None:
        await self._note_begin()
        self._be_ready()

    def _closed(self, now_ns: int) -> None:
        """What was not answered is unknown for ever."""
        self._give_up(now_ns)
        self.questions.end()

    def _waiting_since_ns(self) -> int | None:
        oldest = next(iter(self._in_flight.values()), None)
        return None if oldest is None else oldest[1]

    async def _note_begin(self) -> None:
        """Where each conversation stands before the first message; the first of its members to come finds out."""
        begin = self._engine.begin
        missing = [target.conversation for target in self.plan.targets if target.conversation not in begin]
        if missing:
            found = await self.questions.positions(missing)
            for name in missing:
                begin.setdefault(name, found.get(name, NOTHING_YET).newest + 1)

    def _be_ready(self) -> None:
        first, self.ready = not self._engine.was_ready(self), True
        if first:
            self._engine.became_ready(self)
        if self.resting:
            self.resting = False
            self._engine.came_back(self)
        while self._queue and len(self._in_flight) < self._engine.plan.window and self.sending:
            self._send(self._queue.popleft())

    def _give_up(self, now_ns: int) -> None:
        base = self._engine.number_base
        for count, (_, _, lane) in self._in_flight.items():
            self._journal.event(Kind.ACK, now_ns, lane, base | count, INFO)
            self._engine.unsure.add(base | count)
        self._figures.unknown += len(self._in_flight)
        restart = bool(self._in_flight) and self.plan.due_s is None
        self._engine.open_sends -= len(self._in_flight)
        self._in_flight.clear()
        if restart and self.sending:
            self._queue.append(now_ns)

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
        phase = phase_number(outcome_of(err_code))
        self._journal.event(Kind.ACK, now_ns, lane, self._engine.number_base | count, phase, code_of(err_code))
        if phase == FAIL:
            self._figures.refused += 1
        else:
            self._figures.unknown += 1
            self._engine.unsure.add(self._engine.number_base | count)
        self._figures.trouble(f"send: errCode {err_code}")

    def seen(self, number: int, seq: int, message_id: int, due_ns: int, altered: bool) -> None:
        """A message of the run was pushed."""
        now_ns, figures = self._heard_ns, self._figures
        self._journal.event(Kind.PUSHED, now_ns, self._connection, number, OK, altered, seq, message_id)
        figures.pushes += 1
        if seq > self.newest_seq:
            self.newest_seq = seq
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

    @property
    def in_flight(self) -> int:
        """How many sends are unanswered."""
        return len(self._in_flight)

    @property
    def backlog(self) -> int:
        """How many due messages wait."""
        return len(self._queue)
