"""Operations, the contents of a journal, and the calls that pair them.

An operation is one line of a journal. A *call* is a pair with one `id`: the `invoke` of something and its completion:

- `ok`    it happened
- `fail`  it did not happen; the server refused it
- `info`  the outcome is unknown (time-out, lost connection, 5xx without an answer) and never counts as lost

An observation (a message was seen, a push arrived) is a single `ok` without an `invoke`.

The operations that the judges of this package know, and the values that they read:

| op | invoke | completion |
|---|---|---|
| `send` | marker, conversation, sender, receivers [name], digest, channel | message_id |
| `read_back` | conversation, receiver | begin, end (seqs), complete (everything since before the first send) |
| `receive` | | marker, conversation, receiver, seq, message_id, digest, read (id of its `read_back`), channel, connection |
| `login` | user, platform | user, platform, token_in (where an answer contained an imToken; [] if nowhere) |
| `im_call` | route, user | route, err_code, token_in |
| `ws_connect` | route, user, platform | route, connection, err_code, token_in: OpenIM's WebSocket through the gateway |
| `ws_watch` | receiver, connection | receiver, connection, token_in; `info` = the connection ended too early |
| `ws_claim` | route, user, claimed | `ok` = the gateway let the user act as `claimed`, `fail` = it did not; token_in |
| `push_watch` | receiver | receiver (the sink was watched until no further push was due) |
| `push` | | receiver, notification_id, message_id, marker, source |
| `push_type` | | receiver, notification_id, type, fields (names in the payload): every push in the sink |
| `nonce_replay` | route, first_status | status; `fail` = refused, `ok` = accepted a second time |
| `ws_probe` | url | `fail` = refused, with the reason; `ok` = connected: listened_s, delivered |
| `second_login` | user, platforms [1-9] | `ok` = both sessions reach OpenIM; otherwise session ("first" or "second"), err_code |
| `hook_watch` | conversation | the receiver of webhooks was watched until no further call was due |
| `hook` | | command, operation_id, message_id, marker: a call that the receiver got |
| `hook_deny` | marker | a message that the receiver refused: `fail` = it was not sent, `ok` = it was sent all the same |
| `hook_silence` | marker | a message while the receiver did not answer: `ok` = it was sent, `fail` = it was refused |

A `channel` is `websocket` for OpenIM's WebSocket and `pull` for a read-back; recorders may name others, and older journals
name none. `connection` distinguishes the connections of one receiver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

WEBSOCKET = "websocket"
"""The channel of messages that were sent or seen over OpenIM's WebSocket."""


class OpPhase(StrEnum):
    """The phase of an operation, see the module."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One line of a journal.

    `process` is the user or worker that acted. `time_ns` is Unix time by the recorder's wall clock, for display. Judges
    compare `monotonic_ns`. `line` is the line number in the file, 0 if there is none.
    """

    process: str
    op: str
    phase: OpPhase
    id: str
    time_ns: int
    monotonic_ns: int
    value: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.time_ns / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
        line = f", line {self.line}" if self.line else ""
        return f"{self.op} {self.phase.value} {self.id} of {self.process} at {at} UTC{line}"

    def text(self, name: str) -> str:
        """A value as text, "" if it is missing."""
        value = self.value.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> int | None:
        """A value as an integer, None if it is not one."""
        value = self.value.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def names(self, name: str) -> tuple[str, ...]:
        """A value as a tuple of texts, () if it is not a list."""
        value = self.value.get(name)
        return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


@dataclass(frozen=True, slots=True)
class Call:
    """An invocation and its completion. `completion` is None if the recorder ended first; its outcome is unknown."""

    invoke: Operation
    completion: Operation | None

    @property
    def phase(self) -> OpPhase:
        """`ok`, `fail` or `info`."""
        return OpPhase.INFO if self.completion is None else self.completion.phase

    @property
    def last(self) -> Operation:
        """The completion, or the invocation if there is none."""
        return self.completion or self.invoke


def calls(operations: Iterable[Operation], op: str) -> Iterator[Call]:
    """The calls of one kind in the order of their completion, the incomplete ones last."""
    open_calls: dict[str, Operation] = {}
    for operation in operations:
        if operation.op != op:
            continue
        if operation.phase is OpPhase.INVOKE:
            open_calls[operation.id] = operation
        elif (invoke := open_calls.pop(operation.id, None)) is not None:
            yield Call(invoke, operation)
    for invoke in open_calls.values():
        yield Call(invoke, None)
