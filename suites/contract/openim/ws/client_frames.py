"""Encoding a recorded frame of a client for a replay: the recorded bytes, with the ids and tokens of the replay."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

from google.protobuf.message import Message

from fixtures.wire import gob
from fixtures.wire.envelope import REQUEST_FIELDS
from fixtures.wire.openim_ws_pb2 import MsgData
from suites.contract.openim.ws.bindings import SessionBindings
from suites.contract.openim.ws.recording import USER, Line
from suites.contract.openim.ws.rewrite import change_payload, change_texts, identifier_of, separators_of

_LONG_RUN = re.compile(rb"(.)\1{999,}")


def encode(line: Line, bindings: SessionBindings, now_ms: int) -> bytes:
    """The payload to send. In a malformed frame only the ids of users are replaced."""
    if isinstance(line.decoded, dict) and "malformed" in line.decoded:
        return _text(line.raw, bindings)
    zipped = line.encoding.endswith("+gzip")
    plain = gzip.decompress(line.raw) if zipped else line.raw
    if line.encoding.startswith("gob"):
        plain = _gob(plain, bindings, now_ms)
    else:
        plain = _json(plain, bindings, now_ms, None if zipped else line.decoded.get("frame_len"))
    return gzip.compress(plain, mtime=0) if zipped else plain


def _text(raw: bytes, bindings: SessionBindings) -> bytes:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw
    return USER.sub(lambda found: bindings.user(found[0]), text).encode()


def _json(plain: bytes, bindings: SessionBindings, now_ms: int, frame_len: int | None) -> bytes:
    """The order and spelling of keys and unusual types stay. With `frame_len` the text is cut to that length."""
    envelope = json.loads(plain)
    identifier = identifier_of(envelope)
    data = b""
    for key, value in envelope.items():
        if key.lower() == "data" and isinstance(value, str):
            data = _data(identifier, base64.b64decode(value), bindings, now_ms)
            envelope[key] = base64.b64encode(data).decode()
        else:
            envelope[key] = bindings.fill(value)
    frame = json.dumps(envelope, separators=separators_of(plain)).encode()
    if frame_len is None or len(frame) == frame_len:
        return frame
    operation_id = envelope["operationID"]
    frame = _fitted(envelope, data, frame_len, len(frame))
    bindings.bind(operation_id, envelope["operationID"])
    return frame


def _fitted(envelope: dict[str, Any], data: bytes, frame_len: int, length: int) -> bytes:
    """The frame with exactly the recorded length: its long text is cut, and the operationID filled up."""
    message = MsgData.FromString(data)
    found = _LONG_RUN.search(message.content)
    if found is None:
        raise ValueError("a frame whose length matters has no long text to cut")
    cut = (length - frame_len) * 3 // 4 + 6
    message.content = message.content[: found.start()] + message.content[found.start() + cut :]
    envelope["data"] = base64.b64encode(message.SerializeToString()).decode()
    frame = json.dumps(envelope, separators=(",", ":"))
    envelope["operationID"] += envelope["operationID"][-1] * (frame_len - len(frame))
    return json.dumps(envelope, separators=(",", ":")).encode()


def _gob(plain: bytes, bindings: SessionBindings, now_ms: int) -> bytes:
    """The recorded type definition, as Go's encoder wrote it, and a value with the fields of this replay."""
    found = gob.decode(plain)
    length = plain[0] + 1  # a definition of less than 128 bytes has its length in one
    values: list[gob.Value] = []
    for name, _ in REQUEST_FIELDS:
        value = found.get(name, 0 if name == "ReqIdentifier" else "")
        if name == "Data":
            raw = value if isinstance(value, bytes) else b""
            values.append(_data(found.get("ReqIdentifier", 0), raw, bindings, now_ms))
        else:
            values.append(bindings.fill(value))
    # The definition begins with the negated type id, as a signed integer of gob, in one byte or after a byte count.
    type_id = ((plain[1] if plain[1] < 0x80 else plain[2]) >> 1) + 1
    shape = gob.Shape("Req", REQUEST_FIELDS, type_id=type_id)
    return plain[:length] + shape.encode(values)[len(shape.prefix) :]


def _data(identifier: Any, raw: bytes, bindings: SessionBindings, now_ms: int) -> bytes:
    def change(message: Message) -> None:
        recorded = message.clientMsgID if isinstance(message, MsgData) else ""
        change_texts(message, bindings.fill_text)
        if isinstance(message, MsgData):
            _renew(message, recorded, bindings, now_ms)

    # Data that was recorded to be refused stays.
    return change_payload(identifier, raw, lambda payloads: payloads.request, change)


def _renew(message: MsgData, recorded: str, bindings: SessionBindings, now_ms: int) -> None:
    """Give the message an id and a createTime of this replay. A recorded sendTime stays."""
    if recorded:
        message.clientMsgID = bindings.fresh_id(recorded)
    if message.createTime:
        message.createTime = bindings.bind_time(f"client:{recorded}:{message.createTime}", "createTime", now_ms)
