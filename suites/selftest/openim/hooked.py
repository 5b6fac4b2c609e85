"""A double with webhooks switched on, the receiver that it calls, and clients of both its halves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import picows

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.openim.gateway.server import Gateway, GatewaySettings
from fixtures.openim.state import State
from fixtures.openim.webhooks.catalogue import SERVICES
from fixtures.openim.webhooks.installing import install
from fixtures.openim.webhooks.settings import parse
from fixtures.webhook_sink import Sink
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import JSON, Answer, Request
from fixtures.wire.identifiers import ReqIdentifier
from suites.selftest.openim.doubles import in_process

PEOPLE = ("ann", "ben", "cyd")
ALL_HOOKS = tuple(SERVICES)


@dataclass(frozen=True)
class Hooked:
    """A double of three people and the webhooks' receiver."""

    state: State
    im: OpenIMRest
    sink: Sink

    def switch_on(
        self, *names: str, url: str | None = None, full_wait_s: float = 3.0, honour: bool = False, **each: Any
    ) -> None:
        """Call these webhooks from now on, each with these settings."""
        hooks: dict[str, Any] = {name: {"enable": True, **each} for name in names}
        hooks |= {"url": self.sink.url if url is None else url, "honourFailedContinue": honour}
        install(self.state, parse(hooks), full_wait_s=full_wait_s)

    async def token(self, user_id: str, platform_id: int = 2) -> str:
        """A user's token."""
        return (await self.im.get_user_token(user_id, platform_id)).token


@contextlib.asynccontextmanager
async def hooked(state: State) -> AsyncIterator[Hooked]:
    """The double and its receiver; nothing is switched on yet."""
    async with Sink() as sink, in_process(state) as im:
        await im.user_register([{"userID": name, "nickname": name} for name in PEOPLE])
        try:
            yield Hooked(state, im, sink)
        finally:
            await state.hooks.close()


class Socket(picows.WSListener):
    """A connection to the gateway, in JSON."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.answers: list[Answer] = []
        self._transport: picows.WSTransport | None = None

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Remember where to write."""
        self._transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Keep what came."""
        if frame.msg_type == picows.WSMsgType.BINARY:
            self.answers.append(JSON.decode_answer(frame.get_payload_as_bytes()))

    def ask(self, identifier: ReqIdentifier, data: bytes, *, incr: str) -> None:
        """Send a request."""
        assert self._transport is not None
        request = Request(identifier, send_id=self.user_id, operation_id=f"op-{incr}", msg_incr=incr, data=data)
        self._transport.send(picows.WSMsgType.BINARY, JSON.encode_request(request))

    def say(self, to: str, text: str, *, incr: str, group: bool = False, **fields: Any) -> None:
        """Send a message."""
        message = pb.MsgData(
            sendID=self.user_id,
            clientMsgID=f"client-{incr}",
            senderPlatformID=2,
            sessionType=3 if group else 1,
            contentType=101,
            content=f'{{"content":"{text}"}}'.encode(),
            recvID="" if group else to,
            groupID=to if group else "",
            **fields,
        )
        self.ask(ReqIdentifier.SEND_MSG, message.SerializeToString(), incr=incr)

    async def answer_to(self, incr: str, *, within_s: float = 5.0) -> Answer:
        """The answer to a request."""
        async with asyncio.timeout(within_s):
            while True:
                for answer in self.answers:
                    if answer.msg_incr == incr:
                        return answer
                await asyncio.sleep(0.005)

    def pushed(self) -> list[pb.MsgData]:
        """The chat messages that were pushed so far."""
        found: list[pb.MsgData] = []
        for answer in self.answers:
            if answer.req_identifier == ReqIdentifier.PUSH_MSG:
                pushes = pb.PushMessages.FromString(answer.data or b"")
                found += [message for chat in pushes.msgs.values() for message in chat.Msgs]
        return found

    async def wait_pushed(self, count: int = 1, *, within_s: float = 5.0) -> list[pb.MsgData]:
        """The chat messages that were pushed, as soon as there are so many."""
        async with asyncio.timeout(within_s):
            while len(found := self.pushed()) < count:  # noqa: ASYNC110 - any of several frames may bring the last one
                await asyncio.sleep(0.005)
        return found

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.disconnect()


@contextlib.asynccontextmanager
async def gateway(double: Hooked) -> AsyncIterator[str]:
    """The double's gateway; gives its URL."""
    server = Gateway(double.state, GatewaySettings(queue_s=0))
    port = await server.start("127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{port}"
    finally:
        await server.stop()


async def connect(double: Hooked, url: str, user_id: str, platform_id: int = 2, *, token: str | None = None) -> Socket:
    """Connect a user, with a token of its own unless one is given."""
    parameters: Mapping[str, Any] = {
        "token": token or await double.token(user_id, platform_id),
        "sendID": user_id,
        "platformID": platform_id,
        "operationID": "connect",
        "sdkType": "js",
        "isBackground": "false",
    }
    socket = Socket(user_id)
    await picows.ws_connect(lambda: socket, f"{url}/?{urlencode(parameters)}")
    return socket
