"""Frames from templates: everything constant is encoded once, and a send fills in the rest.

A send is one byte-format operation. The varying fields come first in the protobuf message, which allows any order of
fields. They have 63 bytes, a multiple of 3, so that their base64 can be joined to that of the constant rest. They are
clientMsgID (32 characters: the run's tag, the worker, the message's count), createTime, and `ex` with the due time of the
message in Unix nanoseconds. `operationID` is the clientMsgID, `msgIncr` is the count.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from typing import Final, NamedTuple

from fixtures.wire import gob
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import REQUEST_FIELDS
from fixtures.wire.identifiers import ReqIdentifier
from load.config import SdkType

TAG_CHARS: Final = 16
WORKER_CHARS: Final = 4
COUNT_DIGITS: Final = 12
ID_CHARS: Final = TAG_CHARS + WORKER_CHARS + COUNT_DIGITS
CLIENT_MSG_ID: Final = b"\x22\x20"  # field 4, 32 bytes
_CREATE_TIME: Final = b"\x80\x01"  # field 16
EX: Final = b"\xba\x01\x12"  # field 23, 18 bytes
_TIME_BYTES: Final = 6  # a varint of milliseconds between 2004 and 2109

SINGLE, GROUP = 1, 3
_USER_MADE, _TEXT = 100, 101


class Peer(NamedTuple):
    """The receiver of a message: a user or a group, by `kind`."""

    kind: int
    id: str


def content_of(text: str) -> bytes:
    """The content of a text message."""
    return json.dumps({"content": text}, ensure_ascii=False).encode()


class Template:
    """The sends of one user to one peer. `frame` is on the hot path; counts have at most 12 digits."""

    def __init__(
        self, *, sdk_type: SdkType, tag: bytes, worker: int, sender: str, platform_id: int, peer: Peer, content: bytes
    ) -> None:
        prefix = _escaped(tag + b"%04x" % worker)
        rest = pb.MsgData(
            sendID=sender,
            recvID=peer.id if peer.kind == SINGLE else "",
            groupID=peer.id if peer.kind == GROUP else "",
            senderPlatformID=platform_id,
            sessionType=peer.kind,
            msgFrom=_USER_MADE,
            contentType=_TEXT,
            content=content,
            status=1,
        ).SerializeToString()
        self._varying = (CLIENT_MSG_ID + prefix + b"%012d" + _CREATE_TIME + b"%b" + EX + b"%016xns").__mod__
        self._created_ms = 0
        self._created = b""
        self._js = sdk_type == "js"
        if self._js:
            head = b'{"reqIdentifier":1003,"token":"","sendID":%b,"operationID":"' % json.dumps(sender).encode()
            data = b2a_base64(rest, newline=False)
            self._frame = (
                _escaped(head) + prefix + b'%012d","msgIncr":"%012d","data":"%b' + _escaped(data) + b'"}'
            ).__mod__
        else:
            self._frame = _gob_frame(sender, prefix, rest).__mod__

    def frame(self, count: int, created_ms: int, due_ns: int) -> bytes:
        """The frame of message `count`, created at `created_ms` and due at `due_ns` (both Unix time)."""
        if created_ms != self._created_ms:
            self._created_ms, self._created = created_ms, _varint(created_ms)
        varying = self._varying((count, self._created, due_ns))
        if self._js:
            varying = b2a_base64(varying, newline=False)
        return self._frame((count, count, varying))


def _gob_frame(sender: str, prefix: bytes, rest: bytes) -> bytes:
    """A format for one gob frame. All lengths are constant, as every varying part has a fixed width."""
    shape = gob.Shape("Req", REQUEST_FIELDS)
    hole_op, hole_count, hole_data = b"\x01" * ID_CHARS, b"\x02" * COUNT_DIGITS, b"\x03" * 63
    whole = shape.encode(
        (int(ReqIdentifier.SEND_MSG), "", sender, hole_op.decode(), hole_count.decode(), hole_data + rest)
    )
    head, _, tail = whole.partition(hole_op)
    middle, _, tail = tail.partition(hole_count)
    last, _, end = tail.partition(hole_data)
    return _escaped(head) + prefix + b"%012d" + _escaped(middle) + b"%012d" + _escaped(last) + b"%b" + _escaped(end)


def _escaped(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")


def length(value: int) -> bytes:
    """A number as a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(value: int) -> bytes:
    out = length(value)
    if len(out) != _TIME_BYTES:
        raise ValueError("the clock of this machine is wrong by decades; set it")
    return out
