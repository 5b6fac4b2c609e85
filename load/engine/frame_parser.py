"""A fast parser for answers and pushes of the usual shape.

A frame is compared with the expected bytes at fixed offsets. Any other frame goes through the full decoders, so both
paths give the same result.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from google.protobuf.message import DecodeError

from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer, EnvelopeError, codec
from fixtures.wire.identifiers import ReqIdentifier
from load.config import SdkType
from load.engine.frames import CLIENT_MSG_ID, COUNT_DIGITS, EX, ID_CHARS, TAG_CHARS, WORKER_CHARS, length

_SEQ: Final = 0x70
_SEND_TIME: Final = 0x78


class Reception(NamedTuple):
    """One of the run's messages as it arrived: seq is -1 where it has none, `due_ns` is -1 where it is not given."""

    number: int
    seq: int
    message_id: int
    due_ns: int
    altered: bool


_ACK_HEAD: Final = b'{"reqIdentifier":1003,"msgIncr":"'
_PUSH_HEAD: Final = b'{"reqIdentifier":2001,"msgIncr":"","operationID":"'
_COUNT_AT: Final = len(_ACK_HEAD)
_COUNT_END: Final = _COUNT_AT + COUNT_DIGITS
_CODE_AT: Final = _COUNT_END + len(b'","operationID":"') + ID_CHARS
_ACK_OK: Final = b'","errCode":0,"errMsg":"","data":"'
_ID_AT: Final = _CODE_AT + len(_ACK_OK)
_ID_B64: Final = 24  # 18 bytes: the field's tag, its length, 16 digits
_DATA: Final = b'"data":"'
_OTHER: Final = Answer(0)


class FrameHandler(Protocol):
    """What a parser calls for the frames of a connection."""

    def acked(self, count: int, err_code: int, message_id: int) -> None:
        """The answer to send `count`; `message_id` is the first 16 digits of OpenIM's, as a number."""

    def received(self, number: int, seq: int, message_id: int, due_ns: int, altered: bool) -> None:
        """One of the run's messages arrived; see `Reception`."""

    def other(self, answer: Answer) -> None:
        """Any other frame: an answer to another request, or a push that is not of this run (`data` is None)."""


class FrameParser:
    """Parses the frames of one connection. Its only state is the shape of pushes, learnt from the first one."""

    def __init__(self, handler: FrameHandler, *, sdk_type: SdkType, gzipped: bool, tag: bytes, content: bytes) -> None:
        self._handler = handler
        self._acked, self._received = handler.acked, handler.received
        self._codec = codec(sdk_type, gzipped=gzipped)
        self._fast = sdk_type == "js" and not gzipped
        self._mark = CLIENT_MSG_ID + tag
        self._tag = tag.decode()
        self._content = content
        # Bytes from the tag of clientMsgID to the tag of seq; learnt, 0 until then.
        self._seq_from = 0
        self._content_field = b"\x62" + length(len(content)) + content
        self._content_size = len(self._content_field)
        self._least = self._most = 0

    def parse(self, frame: bytes) -> None:
        """Call the handler for a frame. Raises EnvelopeError for one that is not an envelope."""
        if self._fast:
            try:
                if frame.startswith(_ACK_OK, _CODE_AT) and frame.startswith(_ACK_HEAD):
                    digits = a2b_base64(frame[_ID_AT : _ID_AT + _ID_B64])
                    self._acked(int(frame[_COUNT_AT:_COUNT_END]), 0, int(digits[2:], 16))
                    return
                if frame.startswith(_PUSH_HEAD):
                    at = frame.find(_DATA, len(_PUSH_HEAD))
                    raw = a2b_base64(frame[at + len(_DATA) : -2])
                    if not self._quick(raw):
                        self._pushed(raw)
                    return
            except ValueError:
                pass  # not the usual shape: decode it
        self._decoded(frame)

    def _quick(self, raw: bytes) -> bool:
        """Parse a push of the shape that was learnt; False for any other. Raises ValueError for wrong digits."""
        at = raw.find(self._mark)
        seq_at = at + self._seq_from
        # Another size may mean a second message in the same frame.
        if at < 0 or not self._seq_from or not self._least <= len(raw) <= self._most or raw[seq_at] != _SEQ:
            return False
        if not raw.startswith(self._content_field, seq_at - self._content_size):
            return False
        seq = raw[seq_at + 1]
        end = seq_at + 2
        if seq > 0x7F:
            seq, end = _read_varint(raw, seq_at + 1)
        # sendTime 1+6, createTime 2+6, status 2+1, then ex.
        ex = end + 18
        if raw[end] != _SEND_TIME or not raw.startswith(EX, ex):
            return False
        number = int(raw[at + 18 : at + 22], 16) << 48 | int(raw[at + 22 : at + 34])
        self._received(number, seq, int(raw[at + 36 : at + 52], 16), int(raw[ex + 3 : ex + 19], 16), False)
        return True

    def _decoded(self, frame: bytes) -> None:
        answer = self._codec.decode_answer(frame)
        if answer.req_identifier == ReqIdentifier.SEND_MSG and answer.msg_incr.isdecimal():
            self._acked(int(answer.msg_incr), answer.err_code, _message_id(answer))
        elif answer.req_identifier == ReqIdentifier.PUSH_MSG:
            self._pushed(answer.data or b"")
        else:
            self._handler.other(answer)

    def _pushed(self, raw: bytes) -> None:
        try:
            pushed = pb.PushMessages.FromString(raw)
        except DecodeError as error:
            raise EnvelopeError(f"a push that cannot be decoded: {error}") from None
        found = [one for pulled in pushed.msgs.values() for one in self.messages(pulled)]
        for one in found:
            self._received(*one)
        if not found:
            self._handler.other(_OTHER)
        elif len(found) == 1 and not found[0].altered:
            self._learn(raw)

    def messages(self, pulled: pb.PullMsgs) -> Iterator[Reception]:
        """The run's messages among those of one conversation."""
        for one in pulled.Msgs:
            name = one.clientMsgID
            if len(name) != ID_CHARS or not name.startswith(self._tag):
                continue
            yield Reception(
                int(name[TAG_CHARS : TAG_CHARS + WORKER_CHARS], 16) << 48 | int(name[TAG_CHARS + WORKER_CHARS :]),
                one.seq or -1,
                _number(one.serverMsgID),
                _due(one.ex),
                one.content != self._content,
            )

    def _learn(self, raw: bytes) -> None:
        at = raw.find(self._mark)
        content_at = raw.find(self._content_field, at)
        if at >= 0 and content_at >= 0:
            self._seq_from = content_at + len(self._content_field) - at
            # Another seq or length may take a byte or two more.
            self._least, self._most = len(raw) - 8, len(raw) + 8


def _message_id(answer: Answer) -> int:
    if answer.err_code:
        return 0
    try:
        return _number(pb.UserSendMsgResp.FromString(answer.data or b"").serverMsgID)
    except DecodeError:
        return 0


def _number(message_id: str) -> int:
    try:
        return int(message_id[:16], 16)
    except ValueError:
        return 0


def _due(ex: str) -> int:
    try:
        return int(ex[:16], 16) if len(ex) == 18 else -1
    except ValueError:
        return -1


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
