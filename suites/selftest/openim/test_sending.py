"""A message sent over the WebSocket is acknowledged at once, and stored and pushed a moment later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from fixtures.openim import conversations as conv
from fixtures.openim import messages
from fixtures.openim.gateway.sending import Sender
from fixtures.openim.records import Message, User
from fixtures.openim.state import Push, State
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer, Request
from fixtures.wire.identifiers import ReqIdentifier

pytestmark = pytest.mark.anyio

CHAT = "si_ann_ben"
QUEUE_S = 0.05


@dataclass
class Sending:
    """The sender's end of a connection: it keeps the answers."""

    user_id: str = "ann"
    answers: list[Answer] = field(default_factory=list)

    def answer(self, answer: Answer) -> None:
        """Keep it."""
        self.answers.append(answer)


@pytest.fixture
def sent(state: State) -> list[tuple[int, str]]:
    """Seq and client message id of what is pushed, as it is pushed; ann and ben are registered."""
    for name in ("ann", "ben"):
        state.users.put(User(name, name), name)
    pushed: list[tuple[int, str]] = []

    def listen(push: Push) -> None:
        pushed.append((push.message.seq, push.message.client_msg_id))

    state.push_listeners.append(listen)
    return pushed


def send(sender: Sender, connection: Sending, client_msg_id: str) -> None:
    """Ann sends ben a text."""
    message = pb.MsgData(
        sendID="ann", recvID="ben", clientMsgID=client_msg_id, sessionType=conv.SINGLE, contentType=101, content=b"{}"
    )
    request = Request(ReqIdentifier.SEND_MSG, "", "ann", "o", client_msg_id, message.SerializeToString())
    sender.send(cast("Any", connection), request)


async def test_the_ack_comes_before_the_seq_and_the_push(state: State, sent: list[tuple[int, str]]) -> None:
    """Acked, yet without a seq: who looks now does not find it. Later all are stored and pushed in their order."""
    sender, connection = Sender(state, QUEUE_S), Sending()
    ids = [f"m{number}" for number in range(20)]
    for one in ids:
        send(sender, connection, one)
    assert [answer.msg_incr for answer in connection.answers] == ids
    await asyncio.sleep(0)
    assert (sent, conv.max_seq(state, CHAT)) == ([], 0)
    await asyncio.sleep(QUEUE_S / 2)
    send(sender, connection, "late")
    assert sent == []
    last = asyncio.Event()
    state.push_listeners.append(lambda push: last.set() if push.message.client_msg_id == "late" else None)
    await asyncio.wait_for(last.wait(), 5)
    assert sent == list(enumerate([*ids, "late"], start=1))
    assert conv.max_seq(state, CHAT) == 21


async def test_nothing_is_left_behind_at_the_end(state: State, sent: list[tuple[int, str]]) -> None:
    """When the gateway stops, what was acked is stored, and the queue's timer finds nothing to do twice."""
    sender, connection = Sender(state, QUEUE_S), Sending()
    for one in ("a", "b"):
        send(sender, connection, one)
    sender.deliver_all()
    assert sent == [(1, "a"), (2, "b")]
    await asyncio.sleep(QUEUE_S * 2)
    assert len(sent) == 2


async def test_what_comes_by_rest_does_not_overtake(state: State, sent: list[tuple[int, str]]) -> None:
    """A message that REST takes after one was acked on a socket is stored and pushed after it."""
    sender, connection = Sender(state, QUEUE_S), Sending()
    send(sender, connection, "socket")
    by_rest = Message("ann", "ben", conv.SINGLE, 101, "{}", "rest", "server-id", 1, 1)
    messages.deliver(state, by_rest, operation_id="o")
    assert sent == [(1, "socket"), (2, "rest")]
