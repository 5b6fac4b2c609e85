"""The streams of a connection. Frames of one stream are ordered; across streams their order is not promised."""

from __future__ import annotations

from typing import Any

from fixtures.clients.raw_websocket import Frame
from suites.contract.openim.ws import frames
from suites.contract.openim.ws.recording import Line


def stream_of(line: Line) -> str:
    """The stream of a recorded line of the server: handshake, reply, push, kick, ping, close, or end (of TCP)."""
    if line.is_tcp_end:
        return "end"
    if line.kind == "binary":
        return _stream_of_binary(line.decoded_frame)
    return line.kind if line.kind in ("ping", "close", "handshake") else "reply"


def stream_of_frame(frame: Frame, encoding: str) -> str:
    """The stream of a received frame."""
    if frame.kind == "binary":
        return _stream_of_binary(frames.decode_answer(encoding, frame.payload))
    return frame.kind if frame.kind in ("ping", "close") else "reply"


def _stream_of_binary(decoded: dict[str, Any]) -> str:
    if frames.is_push(decoded):
        return "push"
    return "kick" if frames.is_kick(decoded) else "reply"
