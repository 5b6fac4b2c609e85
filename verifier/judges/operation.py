"""What a journal is made of: operations, the calls that pair them, and the sentences that name them.

An operation is one line of a journal. A *call* is what `id` joins: the `invoke` that says what was tried and the
completion that says what is known of it:

- `ok`    it happened
- `fail`  it did not happen (the server refused it)
- `info`  nobody knows (time-out, lost connection, 5xx without an answer); unknown for ever, never "lost"

What was only observed (a message seen, a push arrived) is a single `ok` without an invoke.

The operations that the judges of this package know, with the values they read:

| op | invoke | completion |
|---|---|---|
| `send` | marker, conversation, sender, receivers [name], digest, channel | message_id |
| `read_back` | conversation, receiver | begin, end (seqs), complete (everything since before the first send) |
| `receive` | | marker, conversation, receiver, seq, message_id, digest, read (id of its `read_back`), channel, connection |
| `login` | user, platform | user, platform, token_in ([] or where an imToken stood in an answer) |
| `im_call` | route, user | route, err_code, token_in |
| `ws_connect` | route, user, platform | route, connection, err_code, token_in: OpenIM's WebSocket through the gateway |
| `ws_watch` | receiver, connection | receiver, connection, token_in; `info` = the connection ended before all was due |
| `ws_claim` | route, user, claimed | `fail` = the gateway did not take the user for `claimed`; `ok` = it did; token_in |
| `push_watch` | receiver | receiver (the sink was looked at until nothing more was due) |
| `push` | | receiver, notification_id, message_id, marker, source |
| `push_type` | | receiver, notification_id, type, fields (names in the payload): every push that the sink holds |
| `nonce_replay` | route, first_status | status; `fail` = refused, `ok` = taken a second time |
| `ws_probe` | url | `fail` = refused with reason; `ok` = connected: listened_s, delivered |
| `second_login` | user, platforms [1-9] | both sessions were tried: `ok` = both reach OpenIM; else session ("first", "second"), err_code |
| `hook_watch` | conversation | the receiver of webhooks was looked at until nothing more was due |
| `hook` | | command, operation_id, message_id, marker: a webhook that the receiver got |
| `hook_deny` | marker | a message that the receiver was told to refuse: `fail` = it was, `ok` = it was sent all the same |
| `hook_silence` | marker | a message while the receiver did not answer: `ok` = it was sent, `fail` = it was refused |
A `channel` is `websocket` for OpenIM's WebSocket, `pull` for a read-back, and whatever a recorder calls its own ways;
older journals name none. `connection` tells the connections of one receiver apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

WEBSOCKET = "websocket"
"""The channel of what was sent or seen over OpenIM's WebSocket."""


class OpPhase(StrEnum):
    """How far an operation is; the words are those of the module's table."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One line of a journal.

    `process` is who acted (a user, a worker). `time_ns` is Unix time by the recorder's wall clock, for people;
    `monotonic_ns` is what judges compare. `line` is where it stands in its file, 0 outside of one.
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
        """A value as text; empty where it is not there."""
        value = self.value.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> int | None:
        """A value as a whole number; None where it is not one."""
        value = self.value.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def names(self, name: str) -> tuple[str, ...]:
        """A value that is a list of texts; empty where it is not one."""
        value = self.value.get(name)
        return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


@dataclass(frozen=True, slots=True)
class Call:
    """An invoke with what became of it. `completion` None: the recorder ended before it did, as unknown as `info`."""

    invoke: Operation
    completion: Operation | None

    @property
    def phase(self) -> OpPhase:
        """`ok`, `fail` or `info`."""
        return OpPhase.INFO if self.completion is None else self.completion.phase

    @property
    def last(self) -> Operation:
        """The completion, or the invoke where there is none."""
        return self.completion or self.invoke


def calls(operations: Iterable[Operation], op: str) -> Iterator[Call]:
    """The calls of one kind, each when it completes; the unfinished ones last. Memory: the calls in flight."""
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
