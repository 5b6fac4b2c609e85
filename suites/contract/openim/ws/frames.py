"""Decoding binary frames to plain data: the fields of the envelope, the protobuf in it, and the JSON inside that.

Absent fields stay absent: `data` null, "" and missing are three values, and gob leaves zero fields out. So comparing two
frames compares what the decoder of a client sees.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError

from fixtures.wire import gob
from fixtures.wire.identifiers import PAYLOADS, ReqIdentifier
from suites.contract.openim.shared.protobuf import as_dict

_GOB_NAMES = {
    "ReqIdentifier": "reqIdentifier",
    "MsgIncr": "msgIncr",
    "OperationID": "operationID",
    "ErrCode": "errCode",
    "ErrMsg": "errMsg",
    "Data": "data",
}


def encoding_of(handshake: dict[str, Any]) -> str:
    """The encoding that a handshake negotiates: `json`, `gob`, either with `+gzip`."""
    query, headers = handshake.get("query") or {}, handshake.get("headers") or {}
    text = str(query.get("v", ""))
    base = "json" if query.get("sdkType") == "js" or '"sdkType": "js"' in text else "gob"
    zipped = query.get("compression", headers.get("compression")) == "gzip" or '"compression": "gzip"' in text
    return f"{base}+gzip" if zipped else base


def decode_answer(encoding: str, raw: bytes) -> dict[str, Any]:
    """A frame of the server. What cannot be decoded becomes `{"$undecodable": …}`."""
    try:
        plain = gzip.decompress(raw) if encoding.endswith("+gzip") else raw
        if encoding.startswith("gob"):
            found: dict[str, Any] = {_GOB_NAMES.get(name, name): value for name, value in gob.decode(plain).items()}
        else:
            found = json.loads(plain)
            if not isinstance(found, dict):
                raise ValueError("not an object")
            if isinstance(found.get("data"), str):
                found["data"] = base64.b64decode(found["data"], validate=True)
    except (ValueError, OSError, EOFError, zlib.error, binascii.Error) as error:
        return {"$undecodable": f"{error}: {raw[:80].hex()}"}
    if isinstance(found.get("data"), bytes):
        found["data"] = _payload(found.get("reqIdentifier"), found["data"])
    return found


def request_text(encoding: str, raw: bytes) -> str:
    """The payload of a frame of a client as text, in which ids can be searched; "" for one that is not an envelope."""
    try:
        plain = gzip.decompress(raw) if encoding.endswith("+gzip") else raw
        if not encoding.startswith("gob"):
            envelope = json.loads(plain)
            plain = base64.b64decode(
                next((value for key, value in envelope.items() if key.lower() == "data"), "") or ""
            )
    except (ValueError, OSError, AttributeError):
        return ""
    return plain.decode("latin-1")


def is_push(decoded: dict[str, Any]) -> bool:
    """Whether a decoded frame is a push."""
    return decoded.get("reqIdentifier") == ReqIdentifier.PUSH_MSG


def is_kick(decoded: dict[str, Any]) -> bool:
    """Whether a decoded frame announces that the user is kicked."""
    return decoded.get("reqIdentifier") == ReqIdentifier.KICKED


def messages_in(decoded: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(branch, conversation, message) of every message in a push or a pull. The branch is `msgs` or `notificationMsgs`."""
    data = decoded.get("data")
    if not isinstance(data, dict):
        return []
    return [
        (branch, conversation, message)
        for branch in ("msgs", "notificationMsgs")
        for conversation, pulled in (data.get(branch) or {}).items()
        if isinstance(pulled, dict)
        for message in pulled.get("Msgs", [])
    ]


def _payload(identifier: Any, data: bytes) -> Any:
    try:
        kind = PAYLOADS[ReqIdentifier(identifier)].answer
    except ValueError:
        kind = None
    if kind is None:
        return {"$bytes": data.hex()}
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return {"$undecodable": data.hex()}
    return as_dict(message, _content, with_unknown=True)


def _content(value: bytes) -> Any:
    """The content of a message. Servers pass on the text of users, so it stays text; a notification is decoded."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"$bytes": value.hex()}
    with suppress(ValueError, TypeError, KeyError):
        found = json.loads(text)
        return {**found, "detail": {"$json": json.loads(found["detail"])}}
    return {"$text": text}
