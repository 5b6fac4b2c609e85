"""The benchmark's server: `python -m load.bench.server PORT` acknowledges and pushes as OpenIM does, or echoes, and counts.

A line on its standard input is answered with a line of counts. The answer to a text frame is a text frame: a client in
JavaScript then needs no conversion, as the other clients.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Final

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import JSON, Answer, Request
from fixtures.wire.identifiers import ReqIdentifier

_MESSAGE_ID: Final = "0123456789abcdef" * 2


class Counts:
    """The server's counts."""

    def __init__(self) -> None:
        self.connections = self.acks = self.pushes = self.echoes = self.pings = 0

    def line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(vars(self)).encode() + b"\n"


class Echo(WSListener):
    """Sends every frame back."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Count the connection."""
        self._counts.connections += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Count the end of the connection."""
        self._counts.connections -= 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer a frame."""
        kind = frame.msg_type
        if kind == WSMsgType.BINARY or kind == WSMsgType.TEXT:
            self.take(transport, kind, frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            transport.disconnect()
        elif kind == WSMsgType.PING:
            self._counts.pings += 1
            transport.send_pong(frame.get_payload_as_bytes())

    def take(self, transport: WSTransport, kind: WSMsgType, payload: bytes) -> None:
        """Send a payload back."""
        self._counts.echoes += 1
        transport.send(kind, payload)


class Gateway(Echo):
    """Acknowledges a message, and pushes it to the sender's connection with a seq, as OpenIM does."""

    def __init__(self, counts: Counts) -> None:
        super().__init__(counts)
        self._seq = 0

    def take(self, transport: WSTransport, kind: WSMsgType, payload: bytes) -> None:
        """Answer a request."""
        request = JSON.decode_request(payload)
        if request.req_identifier != ReqIdentifier.SEND_MSG:
            transport.send(kind, JSON.encode_answer(_answer(request, b"")))
            return
        message = pb.MsgData.FromString(request.data or b"")
        ack = pb.UserSendMsgResp(serverMsgID=_MESSAGE_ID, clientMsgID=message.clientMsgID, sendTime=message.createTime)
        transport.send(kind, JSON.encode_answer(_answer(request, ack.SerializeToString())))
        self._seq += 1
        message.serverMsgID, message.seq, message.sendTime, message.status = (
            _MESSAGE_ID,
            self._seq,
            message.createTime,
            2,
        )
        pushed = pb.PushMessages()
        pushed.msgs[message.sendID].Msgs.append(message)
        push = Answer(ReqIdentifier.PUSH_MSG, "", request.operation_id, 0, "", pushed.SerializeToString())
        transport.send(kind, JSON.encode_answer(push))
        self._counts.acks += 1
        self._counts.pushes += 1


def _answer(request: Request, data: bytes) -> Answer:
    return Answer(request.req_identifier, request.msg_incr, request.operation_id, 0, "", data)


async def serve(port: int) -> None:
    """Serve until standard input ends."""
    counts, ended = Counts(), asyncio.Event()

    def admit(request: WSUpgradeRequest) -> WSListener:
        return Echo(counts) if request.path.startswith(b"/echo") else Gateway(counts)

    def on_input() -> None:
        if os.read(0, 1024):
            os.write(1, counts.line())
        else:
            ended.set()

    server = await ws_create_server(admit, "127.0.0.1", port, enable_auto_pong=False, backlog=4096)
    asyncio.get_running_loop().add_reader(0, on_input)
    async with server:
        await ended.wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
