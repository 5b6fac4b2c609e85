"""The format of a column journal: slots of 40 bytes, little-endian, only ever appended.

A slot is an event, or a piece of text (`Kind.TEXT`: the kind and 39 bytes). Texts are JSON objects that end with a line
feed and zeros up to the next slot. The first is the header. Names of users, conversations and lanes follow, each before
the first event that refers to it, and comparisons of this clock with that of the run's master. The last is `{"end": N}`
with the number of events. A file is self-contained; one that is truncated anywhere is read up to there.

| kind | who | number | at_ns | a | b | code |
|---|---|---|---|---|---|---|
| SEND | lane | message | begun | intended, ns | | |
| ACK | lane | message | answered | | message id | errCode |
| PUSHED | connection | message | arrived | seq, -1 for none | message id | 1: another text than was sent |
| PULLED | read | message | arrived | seq, -1 for none | message id | 1: another text than was sent |
| READ | user | read | begun | conversation | | |
| READ_END | user | read | ended | begin seq | end seq | 1: complete |
| CONNECTED | connection | user | since | | | |
| ENDED | connection | user | ended | last received frame, ns | | 1: by us |
| MARKED | user | conversation | answered | read up to, seq | | errCode |
| POSITION | user | conversation | asked | read up to, seq | | |

`message` is the number of the sending worker in the upper 16 bits and the worker's count, from 1, in the lower 48. A
*lane* is one sender in one conversation. Times are of the recorder's monotonic clock; the header relates it to the wall
clock. A message id is the first 16 of OpenIM's 32 hex digits, as a number. The header's `channel` says how messages
travelled: over the WebSocket, or over REST, where nothing is pushed and there are no connections.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verifier.judges.operation import OpPhase

FORMAT: Final = "openim-ssot load columns"
VERSION: Final = 1
SUFFIX: Final = ".columns"
SLOT_BYTES: Final = 40
TEXT_BYTES: Final = SLOT_BYTES - 1
WORKER_SHIFT: Final = 48
NO_SEQ: Final = -1
REST: Final = "rest"
"""The channel of a run over REST; that of a run over the WebSocket is `verifier.judges.operation.WEBSOCKET`."""

Events = NDArray[np.void]
Column = NDArray[Any]


class Kind(IntEnum):
    """The kinds of slots; stored as these numbers."""

    SEND = 1
    ACK = 2
    PUSHED = 3
    PULLED = 4
    READ = 5
    READ_END = 6
    CONNECTED = 7
    ENDED = 8
    MARKED = 9
    POSITION = 10
    TEXT = 255


EVENT: Final = np.dtype(
    [
        ("kind", "u1"),
        ("phase", "u1"),
        ("code", "<u2"),
        ("who", "<u4"),
        ("number", "<u8"),
        ("at_ns", "<i8"),
        ("a", "<i8"),
        ("b", "<u8"),
    ]
)
PACKED: Final = struct.Struct("<BBHIQqqQ")
"""The same as `EVENT`, for one event at a time."""

PHASES: Final = (OpPhase.INVOKE, OpPhase.OK, OpPhase.FAIL, OpPhase.INFO)
"""A phase is stored as its index here."""
OK, FAIL, INFO = 1, 2, 3
_CODE_MAX: Final = 0xFFFF


def phase_number(phase: OpPhase) -> int:
    """The number by which a phase is stored."""
    return PHASES.index(phase)


def code_of(err_code: int) -> int:
    """An errCode as it fits into a slot; larger ones become 65535."""
    return err_code if 0 <= err_code <= _CODE_MAX else _CODE_MAX


def text_slots(text: bytes) -> bytes:
    """One line of JSON as slots."""
    line = text + b"\n"
    pieces = (line[at : at + TEXT_BYTES] for at in range(0, len(line), TEXT_BYTES))
    return b"".join(b"\xff" + piece.ljust(TEXT_BYTES, b"\0") for piece in pieces)


def message_number(worker: int, count: int) -> int:
    """The number of a worker's message with this count."""
    return (worker << WORKER_SHIFT) | count


def marker_of(number: int) -> str:
    """The marker of a message in reports: worker and count, e.g. `0.17`."""
    return f"{number >> WORKER_SHIFT}.{number & ((1 << WORKER_SHIFT) - 1)}"


def id_number(message_id: str) -> int:
    """The number by which OpenIM's message id is stored; 0 for one that is not hexadecimal."""
    try:
        return int(message_id[:16], 16)
    except ValueError:
        return 0
