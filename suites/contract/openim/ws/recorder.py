"""Recording a replayed session in the format of the recordings: with symbols for users and tokens, without secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from fixtures.clients.raw_websocket import Frame
from suites.contract.openim.shared.bindings import map_strings
from suites.contract.openim.shared.traced_connection import Trace
from suites.contract.openim.ws import frames, rewrite
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.recording import Line, Source

Row = dict[str, Any]
"""A line of a recording."""


def lines_of(result: SessionResult) -> list[Row]:
    """The lines of a session, in the order of their times."""
    recorder = _Recorder(result)
    timed = sorted([*recorder.acted(), *recorder.received()], key=lambda one: one[0])
    return [row for _, row in timed]


class _Recorder:
    def __init__(self, result: SessionResult) -> None:
        self._result = result
        self._to_recorded: Callable[[str], str] = result.bindings.to_recorded()
        self._started_s = min(result.acted_at_s.values(), default=0.0)

    def acted(self) -> Iterator[tuple[float, Row]]:
        """(time, line) of what the clients and the recorder did."""
        for line in self._result.session.lines:
            at_s = self._result.acted_at_s.get(line.number)
            if at_s is None or line.source is Source.SERVER:
                continue
            row = self._row(at_s, line.source, line.conn, line.kind, self._decoded(line))
            if line.source is not Source.NOTE:
                row["pause_ms"] = self._result.pauses.get(line.number, 0)
            if line.source is Source.CLIENT:
                row["raw_base64"] = _base64(self._raw(line))
                if line.encoding:
                    row["encoding"] = line.encoding
            yield at_s, row

    def _raw(self, line: Line) -> bytes:
        sent = self._result.sent.get(line.number, line.raw)
        if line.kind != "binary" or "malformed" in line.decoded:
            return line.raw
        return rewrite.request(line.encoding, sent, self._to_recorded)

    def _decoded(self, line: Line) -> Any:
        if line.source is Source.REST:
            answer = self._result.answers.get(line.number)
            return {**line.decoded, "response": map_strings(answer, self._to_recorded)}
        data = line.decoded.get("data_decoded")
        if line.source is Source.CLIENT and isinstance(data, dict) and "createTime" in data:
            owner = f"client:{data.get('clientMsgID', '')}:{data['createTime']}"
            created = self._result.bindings.bound_time(owner, "createTime")
            return {**line.decoded, "data_decoded": {**data, "createTime": created or data["createTime"]}}
        return line.decoded

    def received(self) -> Iterator[tuple[float, Row]]:
        """(time, line) of what the server did."""
        for conn, trace in self._result.traces.items():
            if trace.handshake is not None:
                yield trace.opened_at_s, self._handshake(conn, trace)
            for frame in trace.frames:
                yield frame.at_s, self._frame(conn, frame)
            if trace.end in ("eof", "reset") and (trace.handshake is None or trace.handshake.status == 101):
                closed = any(frame.kind == "close" and frame.payload for frame in trace.frames)
                decoded = {"tcp": trace.end, "close_frame_seen": closed}
                yield trace.ended_at_s, self._row(trace.ended_at_s, Source.SERVER, conn, "close", decoded)

    def _handshake(self, conn: str, trace: Trace) -> Row:
        answer = trace.handshake
        assert answer is not None
        reason = answer.raw.split(b"\r\n", 1)[0].decode("latin-1")
        decoded: Row = {"status": answer.status, "reason": reason, "headers": answer.headers}
        if answer.body:
            text = self._to_recorded(answer.body.decode(errors="replace"))
            try:
                decoded["body"] = json.loads(text)
            except ValueError:
                decoded["body_text"] = text
        row = self._row(trace.opened_at_s, Source.SERVER, conn, "handshake", decoded)
        row["raw_base64"] = _base64(self._to_recorded(answer.raw.decode("latin-1")).encode("latin-1"))
        return row

    def _frame(self, conn: str, frame: Frame) -> Row:
        raw = frame.payload
        if frame.kind == "binary":
            encoding = self._result.session.encodings[conn]
            raw = rewrite.answer(encoding, raw, self._to_recorded)
            row = self._row(frame.at_s, Source.SERVER, conn, "binary", _decoded_answer(encoding, raw))
            row["encoding"] = encoding
        else:
            raw = rewrite.change_text(raw, self._to_recorded) if frame.kind == "text" else raw
            row = self._row(frame.at_s, Source.SERVER, conn, frame.kind, _control(frame.kind, raw))
        row["raw_base64"] = _base64(raw)
        return row

    def _row(self, at_s: float, source: Source, conn: str, kind: str, decoded: Any) -> Row:
        author = {Source.SERVER: "server", Source.REST: "client:REST", Source.NOTE: "recorder"}.get(
            source, f"client:{conn}"
        )
        return {
            "session": self._result.session.name,
            "t_ms": int((at_s - self._started_s) / self._result.heartbeat_scale * 1000),
            "from": author,
            "conn": conn or None,
            "kind": kind,
            "decoded": decoded,
        }


def _decoded_answer(encoding: str, raw: bytes) -> Row:
    decoded = frames.decode_answer(encoding, raw)
    return {("data_decoded" if key == "data" else key): value for key, value in decoded.items()}


def _control(kind: str, raw: bytes) -> Any:
    if kind == "close":
        code = int.from_bytes(raw[:2], "big") if len(raw) >= 2 else None
        return {"code": code, "reason": raw[2:].decode(errors="replace")}
    text = raw.decode(errors="replace")
    if kind != "text":
        return {"payload": text}
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
