"""The recorded REST calls of published client SDKs, and what those clients did on their WebSockets in between.

The WebSockets were not recorded. What must have happened on them follows from the answers: a message that a list of
conversations shows was sent before, a user who is shown as online was connected. `SOCKET_STEPS` states that and no more.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from fixtures.wire import openim_api_pb2 as pb
from suites.contract.openim.shared.protobuf import as_dict, unknown_numbers
from suites.contract.openim.shared.recording_files import DIRECTORY, SDK_FILE, read_lines

RECORDING = DIRECTORY / SDK_FILE
PREFIXES = ("82cbc835", "56a2ec6a", "01999035")
"""The prefixes of the recorded user ids: one scenario each, of the Node, the browser and the Python client."""

PROTOBUF: dict[str, tuple[type[Message], type[Message]]] = {
    "/jssdk/get_active_conversations": (pb.GetActiveConversationsReq, pb.ConversationMsgs),
    "/jssdk/get_conversations": (pb.GetConversationsReq, pb.ConversationMsgs),
}
"""Request and answer of the routes on which the Node client uses protobuf; the answer is base64 in `data`."""


@dataclass(frozen=True, kw_only=True)
class SdkCall:
    """One recorded call. `token` is a symbol, `<token:N>` or `<none>`."""

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
    """Before a call, the user of a token (its symbol) connects with it, as a web client with JSON envelopes."""

    before: int
    login: str


@dataclass(frozen=True, kw_only=True)
class Disconnect:
    """Before a call, the user of a token closes the connection."""

    before: int
    login: str


@dataclass(frozen=True, kw_only=True)
class SendText:
    """Before a call, the user of a token sends a text to a recorded user or group, and it is acknowledged."""

    before: int
    login: str
    text: str
    recv_id: str = ""
    group_id: str = ""


SocketStep = Connect | Disconnect | SendText

SOCKET_STEPS: tuple[SocketStep, ...] = (
    # The Node client: ann and ben; cyd connects, disconnects, misses two messages, returns and is kicked by a second login.
    Connect(before=4, login="<token:2>"),
    Connect(before=12, login="<token:3>"),
    SendText(before=25, login="<token:2>", recv_id="82cbc835ben", text="hello ben"),
    Connect(before=29, login="<token:4>"),
    SendText(before=46, login="<token:2>", group_id="550109457", text="hello group"),
    Disconnect(before=55, login="<token:4>"),
    Connect(before=59, login="<token:6>"),
    SendText(before=59, login="<token:2>", recv_id="82cbc835cyd", text="while away"),
    SendText(before=59, login="<token:2>", group_id="550109457", text="group while away"),
    Connect(before=65, login="<token:7>"),
    Connect(before=79, login="<token:5>"),
    Connect(before=97, login="<token:8>"),
    Disconnect(before=115, login="<token:2>"),
    # The browser client: the same.
    SendText(before=113, login="<token:6>", recv_id="56a2ec6aben", text="hello ben"),
    Connect(before=116, login="<token:9>"),
    SendText(before=144, login="<token:6>", group_id="3853897801", text="hello group"),
    Disconnect(before=157, login="<token:9>"),
    SendText(before=160, login="<token:6>", recv_id="56a2ec6acyd", text="while away"),
    SendText(before=160, login="<token:6>", group_id="3853897801", text="group while away"),
    Connect(before=162, login="<token:13>"),
    Connect(before=183, login="<token:14>"),
    Disconnect(before=201, login="<token:6>"),
)


def load() -> list[SdkCall]:
    """All calls in the order in which they were answered."""
    return [SdkCall(number=number, **line) for number, line in enumerate(read_lines(RECORDING))]


def token_users(calls: Iterable[SdkCall]) -> dict[str, tuple[str, int]]:
    """Token symbol -> (recorded user id, platform), for the tokens of users."""
    return {
        call.response["data"]["token"]: (call.request["userID"], call.request["platformID"])
        for call in calls
        if call.path == "/auth/get_user_token"
    }


def nicknames(calls: Iterable[SdkCall]) -> dict[str, str]:
    """Recorded user id -> nickname."""
    registered = (call.request["users"] for call in calls if call.path == "/user/user_register")
    return {user["userID"]: user["nickname"] for users in registered for user in users}


def plain(message: Message) -> dict[str, Any]:
    """A protobuf message as a dictionary of its set fields, with bytes as text."""
    return as_dict(message, bytes.decode)


def readable(call: SdkCall, envelope: Any) -> Any:
    """An answer to a call, with the protobuf message in its `data` decoded if there is one."""
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if call.path not in PROTOBUF or not isinstance(data, str):
        return envelope
    return {**envelope, "data": plain(PROTOBUF[call.path][1].FromString(base64.b64decode(data, validate=True)))}


def decoded(call: SdkCall) -> tuple[Message, Message]:
    """The recorded request and answer of a call that is in PROTOBUF."""
    request, answer = PROTOBUF[call.path]
    body = base64.b64decode(call.response["data"], validate=True)
    return request.FromString(call.request.encode()), answer.FromString(body)


def unknown_fields(message: Message) -> list[int]:
    """The numbers of the fields in a message that its .proto file does not name, at any depth."""
    found = unknown_numbers(message)
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for one in [value] if isinstance(value, Message) else value:
            found += unknown_fields(one)
    return found


def steps_before(number: int) -> list[SocketStep]:
    """The steps on WebSockets before a call."""
    return [step for step in SOCKET_STEPS if step.before == number]
