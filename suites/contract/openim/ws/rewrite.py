"""Changing the texts in frames and in the protobuf messages inside them; everything else stays."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from fixtures.wire import gob
from fixtures.wire.envelope import GOB, Answer, EnvelopeError
from fixtures.wire.identifiers import PAYLOADS, Payloads, ReqIdentifier

Change = Callable[[str], str]
KindOf = Callable[[Payloads], type[Message] | None]
"""Which message a payload is: the one of the request or of the answer."""


def change_texts(message: Message, change: Change) -> None:
    """Change every text in a message: strings, keys of maps, bytes that are UTF-8."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _map(field, value, change)
        elif field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                change_texts(one, change)
        elif field.is_repeated:
            if field.type == FieldDescriptor.TYPE_STRING:
                value[:] = [change(one) for one in value]
        elif isinstance(value, str):
            setattr(message, field.name, change(value))
        elif isinstance(value, bytes):
            setattr(message, field.name, change_text(value, change))


def _map(field: FieldDescriptor, entries: Any, change: Change) -> None:
    found = dict(entries.items())
    entry = field.message_type
    if entry is None or entry.fields_by_name["value"].message_type is None:
        entries.clear()
        entries.update({change(str(key)): value for key, value in found.items()})
        return
    kept = {change(str(key)): value.SerializeToString() for key, value in found.items()}
    entries.clear()
    for key, data in kept.items():
        entries[key].ParseFromString(data)
        change_texts(entries[key], change)


def change_text(raw: bytes, change: Change) -> bytes:
    """Bytes with their text changed; bytes that are not UTF-8 stay."""
    try:
        return change(raw.decode()).encode()
    except UnicodeDecodeError:
        return raw


def request(encoding: str, raw: bytes, change: Change) -> bytes:
    """A frame of a client with its texts changed. One that is not an envelope is changed as text."""
    return _frame(encoding, raw, change, lambda payloads: payloads.request)


def answer(encoding: str, raw: bytes, change: Change) -> bytes:
    """The same for a frame of the server."""
    return _frame(encoding, raw, change, lambda payloads: payloads.answer)


def _frame(encoding: str, raw: bytes, change: Change, kind_of: KindOf) -> bytes:
    zipped = encoding.endswith("+gzip")
    try:
        plain = gzip.decompress(raw) if zipped else raw
        changed = _gob(plain, change, kind_of) if encoding.startswith("gob") else _json(plain, change, kind_of)
    except (ValueError, OSError, EOFError, AttributeError, EnvelopeError):
        return change_text(raw, change)
    return gzip.compress(changed, mtime=0) if zipped else changed


def _json(plain: bytes, change: Change, kind_of: KindOf) -> bytes:
    envelope: dict[str, Any] = json.loads(plain)
    for key, value in envelope.items():
        if key.lower() == "data" and isinstance(value, str):
            data = change_payload(
                identifier_of(envelope),
                base64.b64decode(value, validate=True),
                kind_of,
                lambda message: change_texts(message, change),
            )
            envelope[key] = base64.b64encode(data).decode()
        elif isinstance(value, str):
            envelope[key] = change(value)
    return json.dumps(envelope, ensure_ascii=False, separators=separators_of(plain)).encode()


def _gob(plain: bytes, change: Change, kind_of: KindOf) -> bytes:
    found = dict(gob.decode(plain))
    data = found.get("Data")
    if isinstance(data, bytes):
        found["Data"] = change_payload(
            found.get("ReqIdentifier", 0), data, kind_of, lambda message: change_texts(message, change)
        )
    for name in ("SendID", "OperationID", "MsgIncr", "ErrMsg"):
        value = found.get(name)
        if isinstance(value, str):
            found[name] = change(value)
    if "SendID" in found:
        request = GOB.decode_request(plain)
        return GOB.encode_request(
            type(request)(
                request.req_identifier,
                request.token,
                str(found["SendID"]),
                str(found.get("OperationID", "")),
                str(found.get("MsgIncr", "")),
                found.get("Data"),  # type: ignore[arg-type]
            )
        )
    one = GOB.decode_answer(plain)
    return GOB.encode_answer(
        Answer(
            one.req_identifier,
            str(found.get("MsgIncr", "")),
            str(found.get("OperationID", "")),
            one.err_code,
            str(found.get("ErrMsg", "")),
            found.get("Data"),  # type: ignore[arg-type]
        )
    )


def change_payload(identifier: Any, data: bytes, kind_of: KindOf, change: Callable[[Message], None]) -> bytes:
    """The `data` of an envelope with its message changed; data that is not a known message stays."""
    try:
        kind = kind_of(PAYLOADS[ReqIdentifier(identifier)])
        message = kind.FromString(data) if kind is not None else None
    except (ValueError, DecodeError):
        return data
    if message is None:
        return data
    change(message)
    return message.SerializeToString()


def identifier_of(envelope: dict[str, Any]) -> Any:
    """The reqIdentifier of a JSON envelope, whose name may have any case."""
    return next((value for key, value in envelope.items() if key.lower() == "reqidentifier"), 0)


def separators_of(plain: bytes) -> tuple[str, str]:
    """The separators with which a JSON envelope was written."""
    return (", ", ": ") if b'": ' in plain[:40] else (",", ":")
