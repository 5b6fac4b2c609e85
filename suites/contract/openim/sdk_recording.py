"""The recorded REST calls of published client SDKs, and what those clients did on their sockets in between.

The sockets were not recorded here. What must have happened on them follows from the answers: a message that a list of
conversations shows was sent before, a user who is shown online was connected. `SOCKETS` states exactly that, no more.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from fixtures.wire import openim_api_pb2 as pb

RECORDING = Path(__file__).parent / "recordings" / "sdk_rest.jsonl.gz"
PREFIXES = ("82cbc835", "56a2ec6a", "01999035")
"""What the recorded user ids begin with: one scenario each, of the Node, the browser and the Python client."""

PROTOBUF: dict[str, tuple[type[Message], type[Message]]] = {
    "/jssdk/get_active_conversations": (pb.GetActiveConversationsReq, pb.ConversationMsgs),
    "/jssdk/get_conversations": (pb.GetConversationsReq, pb.ConversationMsgs),
}
"""Request and answer of the routes that the Node client speaks protobuf with; the answer is base64 in `data`."""


@dataclass(frozen=True, kw_only=True)
class SdkCall:
    """One recorded call; `token` is a symbol, `<token:N>` or `<none>`."""

    number: int
    t_ms: int
    client: str
    method: str
    path: str
    token: str
    request: Any
    status: int
    response: Any


@dataclass(frozen=True, kw_only=True)
class Connect:
    """Who got a token (its symbol) connects with it before a call, as a web client with JSON envelopes."""

    before: int
    login: str


@dataclass(frozen=True, kw_only=True)
class Leave:
    """Who got a token closes its connection before a call."""

    before: int
    login: str


@dataclass(frozen=True, kw_only=True)
class Say:
    """Who got a token sends a text before a call, to a recorded user or group id, and its ack has come."""

    before: int
    login: str
    text: str
    recv_id: str = ""
    group_id: str = ""


Step = Connect | Leave | Say

SOCKETS: tuple[Step, ...] = (
    # The Node client: ann, ben; cyd comes, leaves, misses two messages, returns and is kicked by a second login.
    Connect(before=4, login="<token:2>"),
    Connect(before=12, login="<token:3>"),
    Say(before=25, login="<token:2>", recv_id="82cbc835ben", text="hello ben"),
    Connect(before=29, login="<token:4>"),
    Say(before=46, login="<token:2>", group_id="550109457", text="hello group"),
    Leave(before=55, login="<token:4>"),
    Connect(before=59, login="<token:6>"),
    Say(before=59, login="<token:2>", recv_id="82cbc835cyd", text="while away"),
    Say(before=59, login="<token:2>", group_id="550109457", text="group while away"),
    Connect(before=65, login="<token:7>"),
    Connect(before=79, login="<token:5>"),
    Connect(before=97, login="<token:8>"),
    Leave(before=115, login="<token:2>"),
    # The browser client: the same.
    Say(before=113, login="<token:6>", recv_id="56a2ec6aben", text="hello ben"),
    Connect(before=116, login="<token:9>"),
    Say(before=144, login="<token:6>", group_id="3853897801", text="hello group"),
    Leave(before=157, login="<token:9>"),
    Say(before=160, login="<token:6>", recv_id="56a2ec6acyd", text="while away"),
    Say(before=160, login="<token:6>", group_id="3853897801", text="group while away"),
    Connect(before=162, login="<token:13>"),
    Connect(before=183, login="<token:14>"),
    Leave(before=201, login="<token:6>"),
)


def load() -> list[SdkCall]:
    """All calls in the order in which they were answered."""
    with gzip.open(RECORDING, "rt", encoding="utf-8") as lines:
        return [SdkCall(number=number, **json.loads(line)) for number, line in enumerate(lines)]


def holders(calls: Iterable[SdkCall]) -> dict[str, tuple[str, int]]:
    """Token symbol -> (recorded user id, platform), of the users' tokens."""
    return {
        call.response["data"]["token"]: (call.request["userID"], call.request["platformID"])
        for call in calls
        if call.path == "/auth/get_user_token"
    }


def nicknames(calls: Iterable[SdkCall]) -> dict[str, str]:
    """Recorded user id -> the nickname that it was registered with."""
    registered = (call.request["users"] for call in calls if call.path == "/user/user_register")
    return {user["userID"]: user["nickname"] for users in registered for user in users}


def plain(message: Message) -> dict[str, Any]:
    """A protobuf message as it was on the wire: the fields that were there, numbers as numbers, bytes as text."""
    return {descriptor.name: _plain(value) for descriptor, value in message.ListFields()}


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "items"):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value]


def readable(call: SdkCall, envelope: Any) -> Any:
    """An answer to a call, with the protobuf message in its `data` decoded where there is one."""
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if call.path not in PROTOBUF or not isinstance(data, str):
        return envelope
    return {**envelope, "data": plain(PROTOBUF[call.path][1].FromString(base64.b64decode(data, validate=True)))}


def decoded(call: SdkCall) -> tuple[Message, Message]:
    """The recorded request and answer of a call that is in PROTOBUF."""
    asked, answered = PROTOBUF[call.path]
    body = base64.b64decode(call.response["data"], validate=True)
    return asked.FromString(call.request.encode()), answered.FromString(body)


def unknown_fields(message: Message) -> list[int]:
    """The numbers of the fields that a message carries and our description of it does not name, at any depth."""
    unknown = UnknownFieldSet(message)
    found: list[int] = [unknown[index].field_number for index in range(len(unknown))]
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for one in [value] if isinstance(value, Message) else value:
            found += unknown_fields(one)
    return found


def steps_before(number: int) -> list[Step]:
    """What happens on the sockets before a call."""
    return [step for step in SOCKETS if step.before == number]
