"""Each difference that is planted in the double, in REST or WebSocket, makes a row of the parity table disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from picows import WSCloseCode, WSUpgradeResponse, WSUpgradeResponseWithListener

from fixtures.openim.errors import Fault
from fixtures.openim.gateway import connection as gateway_connection
from fixtures.openim.gateway import heartbeats
from fixtures.openim.gateway import server as gateway_server
from fixtures.openim.gateway.connection import GatewayConnection
from fixtures.openim.gateway.hub import Hub
from fixtures.openim.model import conversations, messages
from fixtures.openim.model.records import MessageRecord
from fixtures.openim.model.state import ServerState
from fixtures.openim.rest import app, notices, views
from fixtures.openim.rest.routes import marks, user
from fixtures.wire import gob
from fixtures.wire.envelope import Answer
from fixtures.wire.identifiers import ReqIdentifier
from suites.contract.openim.parity import Row, rest_row, ws_rows
from suites.contract.openim.rest import recording
from suites.contract.openim.shared import target
from tests.suites.contract.openim.recorded_sessions import SESSIONS

pytestmark = pytest.mark.long

CASES = recording.load()
_PATIENCE_S = 0.7
Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less than usual for missing frames."""
    monkeypatch.setattr(target, "_DOUBLE_PATIENCE_S", _PATIENCE_S)


# REST


def a_field_missing(patch: pytest.MonkeyPatch) -> None:
    """Answers have no errDlt."""
    envelope = app._envelope
    patch.setattr(app, "_envelope", lambda data: {k: v for k, v in envelope(data).items() if k != "errDlt"})


def a_number_as_text(patch: pytest.MonkeyPatch) -> None:
    """memberCount of a group is a string."""
    group = views.group
    patch.setattr(views, "group", lambda *args: {**(shown := group(*args)), "memberCount": str(shown["memberCount"])})


def another_error_code(patch: pytest.MonkeyPatch) -> None:
    """Argument errors have errCode 1004."""
    patch.setattr(user, "args", lambda text="": Fault(1004, text))


def a_missing_check(patch: pytest.MonkeyPatch) -> None:
    """Empty texts are accepted."""
    patch.setattr(user, "require_text", lambda *_: None)


# WebSocket


def _answering(patch: pytest.MonkeyPatch, change: Callable[[Answer], Answer]) -> None:
    answer = GatewayConnection.answer
    patch.setattr(GatewayConnection, "answer", lambda self, one: answer(self, change(one)))


def an_answer_without_its_operation(patch: pytest.MonkeyPatch) -> None:
    """Answers do not have the operationID of the request."""
    _answering(patch, lambda one: Answer(one.req_identifier, one.msg_incr, "", one.err_code, one.err_msg, one.data))


def an_ack_with_a_seq(patch: pytest.MonkeyPatch) -> None:
    """The answer to a send has field 5."""

    def change(one: Answer) -> Answer:
        if one.req_identifier != ReqIdentifier.SEND_MSG or one.data is None:
            return one
        data = one.data + b"\x28\x01"
        return Answer(one.req_identifier, one.msg_incr, one.operation_id, one.err_code, one.err_msg, data)

    _answering(patch, change)


def no_push_to_the_sender(patch: pytest.MonkeyPatch) -> None:
    """The sender gets no push."""

    def receivers(state: ServerState, message: MessageRecord) -> Iterable[str]:
        return [message.recv_id]

    patch.setattr(messages, "_receivers", receivers)


def every_push_twice(patch: pytest.MonkeyPatch) -> None:
    """Every push is sent twice."""
    push = Hub.push
    patch.setattr(Hub, "push", lambda self, one: (push(self, one), push(self, one)))


def answers_out_of_order(patch: pytest.MonkeyPatch) -> None:
    """One answer is sent after the next one."""
    answer = GatewayConnection.answer
    held: dict[GatewayConnection, Answer] = {}

    def swapped(self: GatewayConnection, one: Answer) -> None:
        earlier = held.pop(self, None)
        if earlier is None and one.msg_incr == "r010":
            held[self] = one
            return
        answer(self, one)
        if earlier is not None:
            answer(self, earlier)

    patch.setattr(GatewayConnection, "answer", swapped)


def a_close_code(patch: pytest.MonkeyPatch) -> None:
    """Invalid frames are answered with a close frame, as in RFC 6455."""
    close = GatewayConnection.close

    def with_close_frame(self: GatewayConnection) -> None:
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.UNSUPPORTED_DATA)
        close(self)

    patch.setattr(GatewayConnection, "close", with_close_frame)


def pushes_without_their_operation(patch: pytest.MonkeyPatch) -> None:
    """Pushes do not have the operationID of their cause."""
    push = Hub.push
    patch.setattr(Hub, "push", lambda self, one: push(self, replace(one, operation_id="")))


def a_push_still_sending(patch: pytest.MonkeyPatch) -> None:
    """Pushed messages have status 1."""
    patch.setattr(messages, "SENT", messages.SENDING)


def gob_with_zeros(patch: pytest.MonkeyPatch) -> None:
    """gob frames contain zero fields, which Go's encoder omits."""

    def encode(self: gob.Shape, values: Iterable[gob.Value]) -> bytes:
        body = self._id
        for kind, value in zip(self._kinds, values, strict=True):
            body += b"\x01" + (gob._signed(int(value)) if kind == gob.INT else _text(value))
        body += b"\x00"
        return self.prefix + gob._unsigned(len(body)) + body

    patch.setattr(gob.Shape, "encode", encode)


def _text(value: Any) -> bytes:
    return gob._text(value.encode() if isinstance(value, str) else value)


def conversations_named_backwards(patch: pytest.MonkeyPatch) -> None:
    """Conversation ids are si_b_a instead of si_a_b."""

    def single_id(one: str, other: str) -> str:
        return "si_" + "_".join(sorted((one, other), reverse=True))

    patch.setattr(conversations, "single_id", single_id)


def refusals_as_unauthorised(patch: pytest.MonkeyPatch) -> None:
    """A handshake with an invalid token gets HTTP 401 instead of 200."""

    def plain(text: bytes) -> WSUpgradeResponseWithListener:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        refused = WSUpgradeResponse.create_error_response(HTTPStatus.UNAUTHORIZED, text, headers)
        return WSUpgradeResponseWithListener(refused, None)

    patch.setattr(gateway_server, "_plain", plain)


def a_seq_too_many(patch: pytest.MonkeyPatch) -> None:
    """The first seq of a conversation is 2."""
    highest = conversations.max_seq
    patch.setattr(conversations, "max_seq", lambda state, one: highest(state, one) or 1)


def no_push_of_read_marks(patch: pytest.MonkeyPatch) -> None:
    """Read marks are not pushed."""
    patch.setattr(marks, "_notify_read", lambda *_: None)


def a_notification_missing_in_the_chat(patch: pytest.MonkeyPatch) -> None:
    """Notifications of groups are not in the chat."""
    patch.setattr(notices, "_IN_CHAT", frozenset())


def pongs_without_a_body(patch: pytest.MonkeyPatch) -> None:
    """The answer to a text ping has no body."""

    answer = heartbeats.pong_for

    def without_body(text: bytes) -> bytes | None:
        return b'{"type":"pong","body":null}' if answer(text) else answer(text)

    patch.setattr(gateway_connection, "pong_for", without_body)


def kicked_by_the_same_token(patch: pytest.MonkeyPatch) -> None:
    """A second connection of a user ends the first one even with the same token."""
    add = Hub.add

    def greedy(self: Hub, connection: GatewayConnection) -> None:
        for other in list(self.of(connection.user_id)):
            other.kick()
        add(self, connection)

    patch.setattr(Hub, "add", greedy)


def iphones_pushed_in_background(patch: pytest.MonkeyPatch) -> None:
    """iOS connections in the background get pushes."""
    patch.setattr(GatewayConnection, "takes_pushes", property(lambda self: self.is_open))


REST: dict[Plant, str] = {
    a_field_missing: "account-check",
    a_number_as_text: "group",
    another_error_code: "user-register",
    a_missing_check: "user-register",
}
WS: dict[Plant, str] = {
    an_answer_without_its_operation: "10",
    an_ack_with_a_seq: "10",
    no_push_to_the_sender: "10",
    every_push_twice: "10",
    answers_out_of_order: "35",
    a_close_code: "20",
    pushes_without_their_operation: "10",
    a_push_still_sending: "10",
    gob_with_zeros: "41",
    conversations_named_backwards: "10",
    refusals_as_unauthorised: "04",
    a_seq_too_many: "13",
    no_push_of_read_marks: "48",
    a_notification_missing_in_the_chat: "14",
    pongs_without_a_body: "25",
    kicked_by_the_same_token: "18",
    iphones_pushed_in_background: "27",
}


def _session_row(number: str) -> Row:
    return asyncio.run(ws_rows(None, [SESSIONS[number]]))[0]


@pytest.mark.parametrize("plant", REST, ids=lambda plant: plant.__name__)
def test_a_difference_in_rest_is_reported_by_its_flow(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow that depends on it does not agree."""
    plant(monkeypatch)
    assert not asyncio.run(rest_row(None, REST[plant], CASES)).agrees


@pytest.mark.parametrize("plant", WS, ids=lambda plant: plant.__name__)
def test_a_difference_on_the_socket_is_reported_by_its_session(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session that depends on it does not agree."""
    plant(monkeypatch)
    assert not _session_row(WS[plant]).agrees


def test_the_sessions_agree_without_differences() -> None:
    """Without a planted difference all these sessions agree."""
    rows = asyncio.run(ws_rows(None, [SESSIONS[number] for number in dict.fromkeys(WS.values())]))
    assert [row.name for row in rows if not row.agrees] == []
