"""The WebSocket connection of a web client, as far as the replay of SDK calls needs it."""

from __future__ import annotations

import asyncio
import secrets
import time

from fixtures.clients.raw_websocket import UPGRADE_HEADERS, Opcode, upgrade_request
from fixtures.wire import envelope
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer, Request
from fixtures.wire.identifiers import ReqIdentifier
from suites.contract.openim.server import address_of
from suites.contract.openim.shared.traced_connection import TracedConnection

_ANSWER_WITHIN_S = 20.0
_CLOSED_WITHIN_S = 2.0
_GREETING = b'{"errCode":0,"errMsg":"","errDlt":""}'
_NORMAL_CLOSURE = (1000).to_bytes(2, "big")
# The Node client puts this into each message, with this spelling.
_OFFLINE_PUSH = pb.OfflinePushInfo(title="you hava a new message.", desc="you hava a new message.", iOSBadgeCount=True)
_FROM_USER, _TEXT, _SINGLE, _GROUP, _SENDING = 100, 101, 1, 3, 1


class SdkConnection:
    """One connection with JSON envelopes. Pings are answered, pushes ignored."""

    def __init__(self, platform_id: int) -> None:
        self._codec = envelope.codec("js")
        self._changed = asyncio.Event()
        self._connection = TracedConnection(clock=time.monotonic, changed=self._changed.set, auto_pong=True)
        self._platform_id = platform_id

    @classmethod
    async def connect(cls, ws_url: str, *, user_id: str, token: str, platform_id: int) -> SdkConnection:
        """Connect and wait for the first frame, on which SDKs report "connected" [F105].

        Raises ConnectionError, OSError, TimeoutError.
        """
        query = {
            "sendID": user_id,
            "token": token,
            "platformID": str(platform_id),
            "operationID": secrets.token_hex(8),
            "isBackground": "false",
            "isMsgResp": "true",
            "sdkType": "js",
        }
        self = cls(platform_id)
        host, port, tls = address_of(ws_url)
        head = upgrade_request({"Host": f"{host}:{port}", **UPGRADE_HEADERS}, query)
        response = await self._connection.open(host, port, head, timeout_s=_ANSWER_WITHIN_S, tls=tls)
        greeting = await self._frame(Opcode.TEXT, 0) if response.upgraded else response.body
        if greeting != _GREETING:
            raise ConnectionError(f"{user_id} was refused: {greeting.decode(errors='replace')}")
        return self

    async def send_text(self, text: str, *, sender: str, nickname: str, recv_id: str, group_id: str) -> None:
        """Send a text to a user or a group and wait for the acknowledgement. Raises ConnectionError, TimeoutError."""
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
        request = Request(
            ReqIdentifier.SEND_MSG,
            send_id=sender,
            operation_id=secrets.token_hex(8),
            msg_incr=secrets.token_hex(8),
            data=message.SerializeToString(),
        )
        await self._connection.send(Opcode.BINARY, self._codec.encode_request(request))
        answer = await self._answer(request.msg_incr)
        if answer.err_code:
            raise ConnectionError(f"the message of {sender} was refused: {answer.err_code} {answer.err_msg}")

    async def close(self) -> None:
        """Close the connection. One that the server has closed already stays closed."""
        await self._connection.send(Opcode.CLOSE, _NORMAL_CLOSURE)
        try:
            async with asyncio.timeout(_CLOSED_WITHIN_S):
                while not self._connection.trace.end:
                    await self._change()
        except TimeoutError:
            pass  # the server does not answer the close frame
        await self._connection.drop()

    async def _answer(self, msg_incr: str) -> Answer:
        position = 0
        while True:
            answer = self._codec.decode_answer(await self._frame(Opcode.BINARY, position))
            if answer.msg_incr == msg_incr:
                return answer
            position += 1

    async def _frame(self, opcode: Opcode, position: int) -> bytes:
        """The payload of a received frame, by its position among those of its opcode."""
        trace = self._connection.trace
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            while True:
                found = [frame.payload for frame in trace.frames if frame.opcode == opcode]
                if len(found) > position:
                    return found[position]
                if trace.end:
                    raise ConnectionError("the server closed the connection")
                await self._change()

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed.clear()
