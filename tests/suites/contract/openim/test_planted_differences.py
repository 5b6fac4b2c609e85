"""Differences planted by hand in the double, REST and WebSocket: each one turns the contract suite red."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from picows import WSCloseCode, WSUpgradeResponse, WSUpgradeResponseWithListener

from fixtures.openim import app, conversations, messages, notices, views
from fixtures.openim.errors import Fault
from fixtures.openim.gateway import connection as gateway_connection
from fixtures.openim.gateway import heartbeats
from fixtures.openim.gateway import server as gateway_server
from fixtures.openim.gateway.connection import Connection
from fixtures.openim.gateway.hub import Hub
from fixtures.openim.records import Message
from fixtures.openim.routes import marks, user
from fixtures.openim.state import State
from fixtures.wire import gob
from fixtures.wire.envelope import Answer
from fixtures.wire.identifiers import ReqIdentifier
from suites.contract.openim.parity import Row, rest_row, ws_rows
from suites.contract.openim.rest import recording
from suites.contract.openim.shared import target
from tests.suites.contract.openim.recorded_sessions import SESSIONS

CASES = recording.load()
_PATIENCE_S = 0.7
Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that do not come are not waited for as long as usual."""
    monkeypatch.setattr(target, "_DOUBLE_PATIENCE_S", _PATIENCE_S)


# REST


def a_field_missing(patch: pytest.MonkeyPatch) -> None:
    """Answers without errDlt."""
    envelope = app._envelope
    patch.setattr(app, "_envelope", lambda data: {k: v for k, v in envelope(data).items() if k != "errDlt"})


def a_number_as_text(patch: pytest.MonkeyPatch) -> None:
    """A group's memberCount in quotes."""
    group = views.group
    patch.setattr(views, "group", lambda *args: {**(shown := group(*args)), "memberCount": str(shown["memberCount"])})


def another_error_code(patch: pytest.MonkeyPatch) -> None:
    """Argument errors as 1004."""
    patch.setattr(user, "args", lambda text="": Fault(1004, text))


def a_missing_check(patch: pytest.MonkeyPatch) -> None:
    """Empty texts are let through."""
    patch.setattr(user, "require_text", lambda *_: None)


# WebSocket


def _answering(patch: pytest.MonkeyPatch, change: Callable[[Answer], Answer]) -> None:
    answer = Connection.answer
    patch.setattr(Connection, "answer", lambda self, one: answer(self, change(one)))


def an_answer_without_its_operation(patch: pytest.MonkeyPatch) -> None:
    """The operationID of a request does not come back."""
    _answering(patch, lambda one: Answer(one.req_identifier, one.msg_incr, "", one.err_code, one.err_msg, one.data))


def an_ack_with_a_seq(patch: pytest.MonkeyPatch) -> None:
    """Field 5 in the answer to a send."""

    def change(one: Answer) -> Answer:
        if one.req_identifier != ReqIdentifier.SEND_MSG or one.data is None:
            return one
        data = one.data + b"\x28\x01"
        return Answer(one.req_identifier, one.msg_incr, one.operation_id, one.err_code, one.err_msg, data)

    _answering(patch, change)


def no_push_to_the_sender(patch: pytest.MonkeyPatch) -> None:
    """The sending connection is left out."""

    def receivers(state: State, message: Message) -> Iterable[str]:
        return [message.recv_id]

    patch.setattr(messages, "_receivers", receivers)


def every_push_twice(patch: pytest.MonkeyPatch) -> None:
    """A frame more than was recorded."""
    push = Hub.push
    patch.setattr(Hub, "push", lambda self, one: (push(self, one), push(self, one)))


def answers_out_of_order(patch: pytest.MonkeyPatch) -> None:
    """An answer waits for the next one to overtake it."""
    answer = Connection.answer
    held: dict[Connection, Answer] = {}

    def swapped(self: Connection, one: Answer) -> None:
        earlier = held.pop(self, None)
        if earlier is None and one.msg_incr == "r010":
            held[self] = one
            return
        answer(self, one)
        if earlier is not None:
            answer(self, earlier)

    patch.setattr(Connection, "answer", swapped)


def a_close_code(patch: pytest.MonkeyPatch) -> None:
    """Bad frames are refused as the WebSocket standard has it, with a close frame."""
    close = Connection.close

    def polite(self: Connection) -> None:
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.UNSUPPORTED_DATA)
        close(self)

    patch.setattr(Connection, "close", polite)


def pushes_without_their_operation(patch: pytest.MonkeyPatch) -> None:
    """The operationID of the causing request is lost; clients drop such pushes."""
    push = Hub.push
    patch.setattr(Hub, "push", lambda self, one: push(self, replace(one, operation_id="")))


def a_push_still_sending(patch: pytest.MonkeyPatch) -> None:
    """Pushes show status 1, as the message was sent."""
    patch.setattr(messages, "SENT", messages.SENDING)


def gob_with_zeros(patch: pytest.MonkeyPatch) -> None:
    """Zero fields are written, as Go's encoder never does."""

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
    """si_b_a instead of si_a_b."""

    def single_id(one: str, other: str) -> str:
        return "si_" + "_".join(sorted((one, other), reverse=True))

    patch.setattr(conversations, "single_id", single_id)


def refusals_as_unauthorised(patch: pytest.MonkeyPatch) -> None:
    """A handshake with a bad token gets 401, not 200."""

    def plain(text: bytes) -> WSUpgradeResponseWithListener:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        refused = WSUpgradeResponse.create_error_response(HTTPStatus.UNAUTHORIZED, text, headers)
        return WSUpgradeResponseWithListener(refused, None)

    patch.setattr(gateway_server, "_plain", plain)


def a_seq_too_many(patch: pytest.MonkeyPatch) -> None:
    """A conversation begins with seq 2."""
    highest = conversations.max_seq
    patch.setattr(conversations, "max_seq", lambda state, one: highest(state, one) or 1)


def silence_about_reading(patch: pytest.MonkeyPatch) -> None:
    """Read marks are not told."""
    patch.setattr(marks, "_tell_read", lambda *_: None)


def a_notice_without_its_twin(patch: pytest.MonkeyPatch) -> None:
    """Group notices are not shown in the chat."""
    patch.setattr(notices, "_IN_CHAT", frozenset())


def pongs_without_a_body(patch: pytest.MonkeyPatch) -> None:
    """The body of a text ping does not come back."""

    answer = heartbeats.pong_for

    def without_body(text: bytes) -> bytes | None:
        return b'{"type":"pong","body":null}' if answer(text) else answer(text)

    patch.setattr(gateway_connection, "pong_for", without_body)


def kicked_by_the_same_token(patch: pytest.MonkeyPatch) -> None:
    """A second connection on a platform ends the first one whatever its token."""
    add = Hub.add

    def greedy(self: Hub, connection: Connection) -> None:
        for other in list(self.of(connection.user_id)):
            other.kick()
        add(self, connection)

    patch.setattr(Hub, "add", greedy)


def iphones_pushed_in_background(patch: pytest.MonkeyPatch) -> None:
    """The background state is taken and not heeded."""
    patch.setattr(Connection, "takes_pushes", property(lambda self: self.is_open))


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
    silence_about_reading: "48",
    a_notice_without_its_twin: "14",
    pongs_without_a_body: "25",
    kicked_by_the_same_token: "18",
    iphones_pushed_in_background: "27",
}


def _session(number: str) -> Row:
    return asyncio.run(ws_rows(None, [SESSIONS[number]]))[0]


@pytest.mark.parametrize("plant", REST, ids=lambda plant: plant.__name__)
def test_a_difference_in_rest_turns_its_flow_red(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow that shows it no longer agrees."""
    plant(monkeypatch)
    assert not asyncio.run(rest_row(None, REST[plant], CASES)).agrees


@pytest.mark.parametrize("plant", WS, ids=lambda plant: plant.__name__)
def test_a_difference_on_the_socket_turns_its_session_red(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session that shows it no longer agrees."""
    plant(monkeypatch)
    assert not _session(WS[plant]).agrees


def test_without_them_these_sessions_are_green() -> None:
    """What turned red was the difference, not the session."""
    rows = asyncio.run(ws_rows(None, [SESSIONS[number] for number in dict.fromkeys(WS.values())]))
    assert [row.name for row in rows if not row.agrees] == []
