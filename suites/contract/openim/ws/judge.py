"""Comparing what a session showed with what was recorded.

Each recorded line of the server's and each REST answer is one case. In order are compared, for each connection: answers,
texts and pongs (requests are handled one at a time); pushes of one conversation by their seq; the end. Not promised by
the wire, and not compared: whether an ack or a push of the same message comes first, how pushes of different
conversations interleave, pings outside the sessions about silence, the operationID of pushes that REST caused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from suites.contract.openim.ws import frames
from suites.contract.openim.ws.client import Frame, Trace
from suites.contract.openim.ws.handshakes import judge_handshake
from suites.contract.openim.ws.lossy import with_seq
from suites.contract.openim.ws.notes import Notes
from suites.contract.openim.ws.perform import Performed, frame_stream, stream_of
from suites.contract.openim.ws.pushes import Pushes
from suites.contract.openim.ws.recording import Line, Session, Source
from suites.contract.openim.ws.unify import Unifier, shown


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One case as it went; no differences means that it is the recorded one."""

    session: str
    case: str
    differences: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        """What deviations are matched with, and what a reader reads."""
        return f"{self.case}: {'; '.join(self.differences)}"


def judge(performed: Performed, notes: Notes) -> list[Outcome]:
    """The outcome of each case, and of each frame that was not recorded."""
    return list(_Judge(performed, notes).outcomes())


class _Judge:
    def __init__(self, performed: Performed, notes: Notes) -> None:
        self._performed, self._notes = performed, notes
        self._session: Session = performed.session
        self._unifier = Unifier(performed.symbols, self._session.given_times)

    def outcomes(self) -> Iterator[Outcome]:
        # Answers come first: they tell the ids by which pushes are recognised.
        yield from self._answers_of_rest()
        for conn, lines in self._by_conn().items():
            trace = self._performed.traces.get(conn, Trace())
            yield from self._handshake(conn, lines, trace)
            yield from self._replies(conn, lines, trace)
        pushes = Pushes(self._performed, self._notes, self._unifier)
        for conn, lines in self._by_conn().items():
            trace = self._performed.traces.get(conn, Trace())
            recorded = [line for line in lines if stream_of(line) == "push"]
            for case, differences in pushes.judge(conn, recorded, self._of(trace, conn, "push")):
                yield self._outcome(f"{conn} {case}", differences)
            yield from self._ending(conn, lines, trace)

    def _outcome(self, case: str, differences: Iterable[str]) -> Outcome:
        return Outcome(session=self._session.name, case=case, differences=list(differences))

    def _by_conn(self) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for line in self._session.lines:
            if line.source is Source.CLIENT and line.kind == "handshake":
                found.setdefault(line.conn, [])
            elif line.source is Source.SERVER:
                found.setdefault(line.conn, []).append(line)
        return found

    def _of(self, trace: Trace, conn: str, stream: str) -> list[Frame]:
        encoding = self._session.encodings[conn]
        return [frame for frame in trace.frames if frame_stream(frame, encoding) == stream]

    def _answers_of_rest(self) -> Iterator[Outcome]:
        for line in self._session.lines:
            if line.source is Source.REST:
                answer = self._performed.answers.get(line.number)
                found = self._unifier.differences("$", line.decoded["response"], answer)
                yield self._outcome(f"REST {line.decoded['path']} (line {line.number})", found)

    def _handshake(self, conn: str, lines: list[Line], trace: Trace) -> Iterator[Outcome]:
        for line in lines:
            if line.kind == "handshake":
                sent = next(one for one in self._session.lines if one.conn == conn and one.kind == "handshake")
                head = self._performed.sent.get(sent.number, b"")
                yield self._outcome(f"{conn} handshake", judge_handshake(line, trace.handshake, head, self._unifier))

    def _replies(self, conn: str, lines: list[Line], trace: Trace) -> Iterator[Outcome]:
        recorded = [line for line in lines if stream_of(line) == "reply"]
        actual = self._of(trace, conn, "reply")
        encoding = self._session.encodings[conn]
        keys = [_reply_key(frame, encoding) for frame in actual]
        wanted = [self._performed.symbols.fill(_line_key(line)) for line in recorded]
        left = list(range(len(actual)))
        last = -1
        for line, key in zip(recorded, wanted, strict=True):
            case = f"{conn} {key} (line {line.number})"
            at = next((index for index in left if keys[index] == key), None)
            if at is None:
                yield self._outcome(case, ["is missing"])
                continue
            left.remove(at)
            found = list(self._reply(line, actual[at], encoding))
            if at < last:
                found.append("came out of order")
            last = max(last, at)
            yield self._outcome(case, found)
        for index in left:
            yield self._outcome(f"{conn} {keys[index]}", [f"was not recorded: {_told(actual[index], encoding)}"])

    def _reply(self, line: Line, frame: Frame, encoding: str) -> Iterator[str]:
        if frame.oddity:
            yield frame.oddity
        if frame.kind == "binary":
            recorded = with_seq(line.shown, self._survivors(line.conn)) if self._notes.lossy else line.shown
            yield from self._unifier.differences("$", recorded, frames.decode_answer(encoding, frame.payload))
        else:
            yield from self._unifier.differences("$", line.raw.decode(), frame.payload.decode(errors="replace"))

    def _survivors(self, conn: str) -> int:
        return len(self._of(self._performed.traces[conn], conn, "push"))

    def _ending(self, conn: str, lines: list[Line], trace: Trace) -> Iterator[Outcome]:
        for stream in ("kick", "close", "ping"):
            if stream != "ping" or self._notes.heartbeat:
                yield from self._counted(conn, stream, lines, trace)
        end = next((line for line in lines if line.is_tcp_end), None)
        if end is not None:
            yield self._outcome(f"{conn} end of TCP", self._end(end, lines, trace))
        elif trace.end in ("eof", "reset") and (trace.handshake is None or trace.handshake.status == 101):
            yield self._outcome(f"{conn} end of TCP", ["the server ended the connection; it stayed open when recorded"])

    def _counted(self, conn: str, stream: str, lines: list[Line], trace: Trace) -> Iterator[Outcome]:
        """Frames that are told apart by their place alone."""
        recorded = [line for line in lines if stream_of(line) == stream]
        actual = self._of(trace, conn, stream)
        encoding = self._session.encodings[conn]
        for index, line in enumerate(recorded):
            case = f"{conn} {stream} (line {line.number})"
            if index >= len(actual):
                yield self._outcome(case, ["is missing"])
                continue
            found = list(self._plain(line, actual[index], encoding))
            if self._notes.heartbeat:
                found += self._timely(conn, line, actual[index].at_s, trace)
            if stream == "kick" and trace.frames[-1] is not actual[index]:
                found.append("more frames came after it")
            yield self._outcome(case, found)
        for frame in actual[len(recorded) :]:
            yield self._outcome(f"{conn} {stream}", [f"was not recorded: {_told(frame, encoding)}"])

    def _plain(self, line: Line, frame: Frame, encoding: str) -> Iterator[str]:
        if frame.kind == "binary":
            yield from self._unifier.differences("$", line.shown, frames.decode_answer(encoding, frame.payload))
        elif frame.payload != line.raw:
            yield f"holds {frame.payload!r}, recorded {line.raw!r}"

    def _end(self, line: Line, lines: list[Line], trace: Trace) -> Iterator[str]:
        if trace.end not in ("eof", "reset"):
            yield "the server did not end the connection"
        elif self._notes.heartbeat and not any(one.kind == "close" and not one.is_tcp_end for one in lines):
            yield from self._timely(line.conn, line, trace.ended_at_s, trace)

    def _timely(self, conn: str, line: Line, at_s: float, trace: Trace) -> Iterator[str]:
        """In the sessions about silence, when something came is what they are about."""
        opened = next(one for one in self._session.lines if one.conn == conn and one.source is Source.SERVER)
        recorded_s = (line.t_ms - opened.t_ms) / 1000
        actual_s = (at_s - trace.opened_at_s) / self._performed.heartbeat_scale
        if abs(recorded_s - actual_s) > max(2.0, recorded_s * 0.1):
            yield f"came after {actual_s:.1f} s, recorded {recorded_s:.1f} s"


def _line_key(line: Line) -> str:
    if line.kind != "binary":
        return f"{line.kind} {line.raw.decode(errors='replace')}"
    return _binary_key(line.shown)


def _reply_key(frame: Frame, encoding: str) -> str:
    if frame.kind != "binary":
        return f"{frame.kind} {frame.payload.decode(errors='replace')}"
    return _binary_key(frames.decode_answer(encoding, frame.payload))


def _binary_key(found: dict[str, Any]) -> str:
    return f"answer {found.get('reqIdentifier')} {found.get('msgIncr', '')!r}"


def _told(frame: Frame, encoding: str) -> str:
    if frame.kind == "binary":
        return shown(frames.decode_answer(encoding, frame.payload))
    return repr(frame.payload[:100])
