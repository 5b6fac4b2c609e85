"""A web client's connection, as far as the replay of SDK calls needs one: connect, send a text, leave."""

from __future__ import annotations

import asyncio
import secrets
import time
from urllib.parse import urlencode

import picows

from fixtures.wire import envelope
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer, Request
from fixtures.wire.identifiers import ReqIdentifier

_ANSWER_WITHIN_S = 20.0
# What the Node client puts into each message, spelling included.
_OFFLINE_PUSH = pb.OfflinePushInfo(title="you hava a new message.", desc="you hava a new message.", iOSBadgeCount=True)
_FROM_USER, _TEXT, _SINGLE, _GROUP, _SENDING = 100, 101, 1, 3, 1


class Socket(picows.WSListener):
    """One connection with JSON envelopes."""

    def __init__(self) -> None:
        self._codec = envelope.codec("js")
        self._transport: picows.WSTransport | None = None
        self._greeting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._platform_id = 0

    @classmethod
    async def connect(cls, ws_url: str, *, user_id: str, token: str, platform_id: int) -> Socket:
        """Connect and wait for the first frame, by which clients know that they are in."""
        query = {
            "sendID": user_id,
            "token": token,
            "platformID": platform_id,
            "operationID": secrets.token_hex(8),
            "isBackground": "false",
            "isMsgResp": "true",
            "sdkType": "js",
        }
        _, listener = await picows.ws_connect(cls, f"{ws_url}/?{urlencode(query)}")
        assert isinstance(listener, Socket)
        listener._platform_id = platform_id
        greeting = await asyncio.wait_for(listener._greeting, _ANSWER_WITHIN_S)
        if greeting != b'{"errCode":0,"errMsg":"","errDlt":""}':
            raise ConnectionError(f"{user_id} was not let in: {greeting.decode(errors='replace')}")
        return listener

    async def say(self, text: str, *, sender: str, nickname: str, recv_id: str, group_id: str) -> None:
        """Send a text to a user or a group and wait for the ack."""
        message = pb.MsgData(
            sendID=sender,
            recvID=recv_id,
            groupID=group_id,
            clientMsgID=secrets.token_hex(16),
            senderPlatformID=self._platform_id,
            senderNickname=nickname,
            sessionType=_GROUP if group_id else _SINGLE,
            msgFrom=_FROM_USER,
            contentType=_TEXT,
            content=f'{{"content":"{text}"}}'.encode(),
            createTime=int(time.time() * 1000),
            status=_SENDING,
            offlinePushInfo=_OFFLINE_PUSH,
        )
        increment = secrets.token_hex(8)
        answer = self._answers[increment] = asyncio.get_running_loop().create_future()
        request = Request(
            ReqIdentifier.SEND_MSG,
            send_id=sender,
            operation_id=secrets.token_hex(8),
            msg_incr=increment,
            data=message.SerializeToString(),
        )
        assert self._transport is not None
        self._transport.send(picows.WSMsgType.BINARY, self._codec.encode_request(request))
        acked = await asyncio.wait_for(answer, _ANSWER_WITHIN_S)
        if acked.err_code:
            raise ConnectionError(f"{sender}'s message was refused: {acked.err_code} {acked.err_msg}")

    async def leave(self) -> None:
        """Close the connection; one that the server has closed already stays closed."""
        if self._transport is not None:
            self._transport.send_close(picows.WSCloseCode.OK)
            self._transport.disconnect()
            await self._transport.wait_disconnected()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Keep the way to send."""
        self._transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Take the greeting and the answers; pushes are not what the replay looks at."""
        if frame.msg_type == picows.WSMsgType.TEXT and not self._greeting.done():
            self._greeting.set_result(frame.get_payload_as_bytes())
        elif frame.msg_type == picows.WSMsgType.BINARY:
            answer = self._codec.decode_answer(frame.get_payload_as_bytes())
            waiting = self._answers.pop(answer.msg_incr, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """Whoever still waits is told."""
        gone = ConnectionError("the server closed the connection")
        if not self._greeting.done():
            self._greeting.set_exception(gone)
        for waiting in self._answers.values():
            waiting.set_exception(gone)
