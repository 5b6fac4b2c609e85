"""Comparing what a replayed session showed with the recording.

Each recorded line of the server and each REST answer is one case. On each connection these are compared in order:
answers, texts and pongs (a gateway handles one request at a time [F113]); pushes of one conversation by their seq; the
end. These are not compared, because OpenIM does not promise them: whether the acknowledgement or the push of a message
comes first, how pushes of different conversations interleave, pings outside the sessions about silence, and the
operationID of pushes that REST calls caused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fixtures.clients.raw_websocket import Frame
from suites.contract.openim.shared.comparison import shown
from suites.contract.openim.shared.traced_connection import Trace
from suites.contract.openim.ws import frames
from suites.contract.openim.ws.comparison import WsComparison
from suites.contract.openim.ws.handshakes import judge_handshake
from suites.contract.openim.ws.nondeterminism import with_highest_seq
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.pushes import PushJudge
from suites.contract.openim.ws.recording import Line, Session, Source
from suites.contract.openim.ws.session_settings import SessionSettings
from suites.contract.openim.ws.streams import stream_of, stream_of_frame


@dataclass(frozen=True, kw_only=True)
class WsOutcome:
    """One case; without differences it is as recorded."""

    session: str
    case: str
    differences: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The case and its differences, for readers, and for matching with deviations."""
        return f"{self.case}: {'; '.join(self.differences)}"


def judge(result: SessionResult, settings: SessionSettings) -> list[WsOutcome]:
    """The outcome of each case, and of each frame that was not recorded."""
    return list(_Judge(result, settings).outcomes())


class _Judge:
    def __init__(self, result: SessionResult, settings: SessionSettings) -> None:
        self._result, self._settings = result, settings
        self._session: Session = result.session
        self._comparison = WsComparison(result.bindings, self._session.given_times)

    def outcomes(self) -> Iterator[WsOutcome]:
        # Answers come first: they bind the ids by which pushes are recognised.
        yield from self._rest_answers()
        for conn, lines in self._by_conn().items():
            trace = self._result.traces.get(conn, Trace())
            yield from self._handshake(conn, lines, trace)
            yield from self._replies(conn, lines, trace)
        pushes = PushJudge(self._result, self._settings, self._comparison)
        for conn, lines in self._by_conn().items():
            trace = self._result.traces.get(conn, Trace())
            recorded = [line for line in lines if stream_of(line) == "push"]
            for case, differences in pushes.judge(conn, recorded, self._frames(trace, conn, "push")):
                yield self._outcome(f"{conn} {case}", differences)
            yield from self._ending(conn, lines, trace)

    def _outcome(self, case: str, differences: Iterable[str]) -> WsOutcome:
        return WsOutcome(session=self._session.name, case=case, differences=list(differences))

    def _by_conn(self) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for line in self._session.lines:
            if line.source is Source.CLIENT and line.kind == "handshake":
                found.setdefault(line.conn, [])
            elif line.source is Source.SERVER:
                found.setdefault(line.conn, []).append(line)
        return found

    def _frames(self, trace: Trace, conn: str, stream: str) -> list[Frame]:
        encoding = self._session.encodings[conn]
        return [frame for frame in trace.frames if stream_of_frame(frame, encoding) == stream]

    def _rest_answers(self) -> Iterator[WsOutcome]:
        for line in self._session.lines:
            if line.source is Source.REST:
                answer = self._result.answers.get(line.number)
                found = self._comparison.differences(line.decoded["response"], answer)
                yield self._outcome(f"REST {line.decoded['path']} (line {line.number})", found)

    def _handshake(self, conn: str, lines: list[Line], trace: Trace) -> Iterator[WsOutcome]:
        for line in lines:
            if line.kind == "handshake":
                sent = next(one for one in self._session.lines if one.conn == conn and one.kind == "handshake")
                head = self._result.sent.get(sent.number, b"")
                differences = judge_handshake(line, trace.handshake, head, self._comparison)
                yield self._outcome(f"{conn} handshake", differences)

    def _replies(self, conn: str, lines: list[Line], trace: Trace) -> Iterator[WsOutcome]:
        recorded = [line for line in lines if stream_of(line) == "reply"]
        actual = self._frames(trace, conn, "reply")
        encoding = self._session.encodings[conn]
        keys = [_reply_key(frame, encoding) for frame in actual]
        wanted = [self._result.bindings.fill_text(_line_key(line)) for line in recorded]
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
            yield self._outcome(f"{conn} {keys[index]}", [f"was not recorded: {_shown(actual[index], encoding)}"])

    def _reply(self, line: Line, frame: Frame, encoding: str) -> Iterator[str]:
        if frame.oddity:
            yield f"odd frame: {frame.oddity}"
        if frame.kind == "binary":
            recorded = line.decoded_frame
            if self._settings.lossy:
                recorded = with_highest_seq(recorded, self._count_pushes(line.conn))
            yield from self._comparison.differences(recorded, frames.decode_answer(encoding, frame.payload))
        else:
            yield from self._comparison.differences(line.raw.decode(), frame.payload.decode(errors="replace"))

    def _count_pushes(self, conn: str) -> int:
        return len(self._frames(self._result.traces[conn], conn, "push"))

    def _ending(self, conn: str, lines: list[Line], trace: Trace) -> Iterator[WsOutcome]:
        for stream in ("kick", "close", "ping"):
            if stream != "ping" or self._settings.heartbeat:
                yield from self._by_position(conn, stream, lines, trace)
        end = next((line for line in lines if line.is_tcp_end), None)
        if end is not None:
            yield self._outcome(f"{conn} end of TCP", self._end(end, lines, trace))
        elif trace.end in ("eof", "reset") and (trace.handshake is None or trace.handshake.status == 101):
            yield self._outcome(f"{conn} end of TCP", ["the server ended the connection; it stayed open when recorded"])

    def _by_position(self, conn: str, stream: str, lines: list[Line], trace: Trace) -> Iterator[WsOutcome]:
        """Compare frames that can be identified only by their position in the stream."""
        recorded = [line for line in lines if stream_of(line) == stream]
        actual = self._frames(trace, conn, stream)
        encoding = self._session.encodings[conn]
        for index, line in enumerate(recorded):
            case = f"{conn} {stream} (line {line.number})"
            if index >= len(actual):
                yield self._outcome(case, ["is missing"])
                continue
            found = list(self._frame(line, actual[index], encoding))
            if self._settings.heartbeat:
                found += self._lateness(conn, line, actual[index].at_s, trace)
            if stream == "kick" and trace.frames[-1] is not actual[index]:
                found.append("was followed by more frames")
            yield self._outcome(case, found)
        for frame in actual[len(recorded) :]:
            yield self._outcome(f"{conn} {stream}", [f"was not recorded: {_shown(frame, encoding)}"])

    def _frame(self, line: Line, frame: Frame, encoding: str) -> Iterator[str]:
        if frame.kind == "binary":
            actual = frames.decode_answer(encoding, frame.payload)
            yield from self._comparison.differences(line.decoded_frame, actual)
        elif frame.payload != line.raw:
            yield f"holds {frame.payload!r}, recorded {line.raw!r}"

    def _end(self, line: Line, lines: list[Line], trace: Trace) -> Iterator[str]:
        if trace.end not in ("eof", "reset"):
            yield "the server did not end the connection"
        elif self._settings.heartbeat and not any(one.kind == "close" and not one.is_tcp_end for one in lines):
            yield from self._lateness(line.conn, line, trace.ended_at_s, trace)

    def _lateness(self, conn: str, line: Line, at_s: float, trace: Trace) -> Iterator[str]:
        """In the sessions about silence the times are compared, with a tolerance of 2 s or 10 %."""
        opened = next(one for one in self._session.lines if one.conn == conn and one.source is Source.SERVER)
        recorded_s = (line.t_ms - opened.t_ms) / 1000
        actual_s = (at_s - trace.opened_at_s) / self._result.heartbeat_scale
        if abs(recorded_s - actual_s) > max(2.0, recorded_s * 0.1):
            yield f"came after {actual_s:.1f} s, recorded {recorded_s:.1f} s"


def _line_key(line: Line) -> str:
    if line.kind != "binary":
        return f"{line.kind} {line.raw.decode(errors='replace')}"
    return _binary_key(line.decoded_frame)


def _reply_key(frame: Frame, encoding: str) -> str:
    if frame.kind != "binary":
        return f"{frame.kind} {frame.payload.decode(errors='replace')}"
    return _binary_key(frames.decode_answer(encoding, frame.payload))


def _binary_key(decoded: dict[str, Any]) -> str:
    return f"answer {decoded.get('reqIdentifier')} {decoded.get('msgIncr', '')!r}"


def _shown(frame: Frame, encoding: str) -> str:
    if frame.kind == "binary":
        return shown(frames.decode_answer(encoding, frame.payload))
    return repr(frame.payload[:100])
