"""A WebSocket client for tests, down to the single byte, and a gateway in this process to try it on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from google.protobuf.message import Message

from fixtures.openim import tokens
from fixtures.openim.gateway.server import Gateway, GatewaySettings
from fixtures.openim.records import User
from fixtures.openim.state import State
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer, Request, codec

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
WITHIN_S = 10.0
"""A bound against hanging, which no test is about."""

UPGRADE = {
    "Host": "double",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
}
IOS, ANDROID, WINDOWS, WEB = 1, 2, 3, 5


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """One frame as a client writes it; `rsv` is the three reserved bits."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask_bit, size = (0x80 if masked else 0), len(payload)
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65_536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    whole = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + whole.to_bytes(size, "big")


class Ended(Exception):
    """The server ended TCP."""


@dataclass(frozen=True)
class Upgrade:
    """The answer to an upgrade request."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Socket:
    """An open connection of one user."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    user_id: str = ""
    sdk: str = "js"
    gzipped: bool = False
    requested: int = 0
    pushes: list[tuple[str, pb.MsgData]] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    def send(self, opcode: int, payload: bytes = b"") -> None:
        """Send a proper frame."""
        self.write(frame(opcode, payload))

    async def read(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises Ended."""
        try:
            async with asyncio.timeout(WITHIN_S):
                first, second = await self.reader.readexactly(2)
                assert first & 0x80, "the server never fragments"
                assert not second & 0x80, "the server never masks"
                size = second
                if size == 126:
                    (size,) = struct.unpack("!H", await self.reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
                return first & 0xF, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Ended from error

    async def envelope(self) -> Answer:
        """The next binary frame, texts and control frames left aside."""
        while True:
            opcode, payload = await self.read()
            if opcode == TEXT:
                self.texts.append(payload)
            if opcode == BINARY:
                return codec(self.sdk, gzipped=self.gzipped).decode_answer(payload)

    def ask(self, identifier: int, data: Message | bytes | None = None, **fields: Any) -> str:
        """Send a request; returns its msgIncr."""
        self.requested += 1
        raw = data.SerializeToString() if isinstance(data, Message) else data
        given = {"send_id": self.user_id, "operation_id": f"op{self.requested}", "msg_incr": str(self.requested)}
        request = Request(identifier, data=raw, **{**given, **fields})
        self.send(BINARY, codec(self.sdk, gzipped=self.gzipped).encode_request(request))
        return request.msg_incr

    async def answer(self, msg_incr: str) -> Answer:
        """The answer to a request; pushes that come before it are kept in `pushes`."""
        while True:
            found = await self.envelope()
            if found.msg_incr == msg_incr and found.req_identifier not in (2001, 2002):
                return found
            self._keep(found)

    async def call(self, identifier: int, data: Message | bytes | None = None, **fields: Any) -> Answer:
        """Ask, and wait for the answer."""
        return await self.answer(self.ask(identifier, data, **fields))

    async def say(self, data: pb.MsgData) -> pb.UserSendMsgResp:
        """Send a message, which must be taken."""
        found = await self.call(1003, data)
        assert (found.err_code, found.err_msg) == (0, "")
        return pb.UserSendMsgResp.FromString(found.data or b"")

    def _keep(self, found: Answer) -> None:
        assert found.req_identifier == 2001, found
        assert found.msg_incr == ""
        pushed = pb.PushMessages.FromString(found.data or b"")
        for chats in (pushed.msgs, pushed.notificationMsgs):
            for name, entry in chats.items():
                self.pushes += [(name, message) for message in entry.Msgs]
        self.causes.append(found.operation_id)

    async def settle(self) -> list[tuple[str, pb.MsgData]]:
        """All pushes so far: what the server sent before it answered a ping. They are then forgotten here."""
        self.send(PING, b"settle")
        while True:
            opcode, payload = await self.read()
            if (opcode, payload) == (PONG, b"settle"):
                break
            if opcode == TEXT:
                self.texts.append(payload)
            elif opcode == BINARY:
                self._keep(codec(self.sdk, gzipped=self.gzipped).decode_answer(payload))
        pushes, self.pushes = self.pushes, []
        return pushes

    async def end(self) -> list[tuple[int, bytes]]:
        """Wait until the server ends TCP; returns the frames that came before."""
        frames = []
        with contextlib.suppress(Ended):
            while True:
                frames.append(await self.read())
        return frames

    async def bye(self) -> None:
        """Close as a good client does."""
        self.send(CLOSE, b"\x03\xe8")
        await self.end()
        self.writer.close()

    def abort(self) -> None:
        """Drop TCP."""
        self.writer.transport.abort()


@dataclass(kw_only=True)
class Address:
    """Where a gateway listens, and the connections that were made to it."""

    port: int
    opened: list[Socket] = field(default_factory=list)

    async def raw(self) -> Socket:
        """A bare TCP connection."""
        socket = Socket(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26))
        self.opened.append(socket)
        return socket

    async def upgrade(
        self,
        query: Mapping[str, str] | str,
        *,
        headers: Mapping[str, str] = UPGRADE,
        path: str = "/",
        after: bytes = b"",
    ) -> tuple[Upgrade, Socket]:
        """Ask for an upgrade and return what is answered; `after`: what the client sends without waiting for it."""
        socket = await self.raw()
        text = query if isinstance(query, str) else urlencode(query)
        lines = [f"GET {path}?{text} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        socket.write(("\r\n".join(lines) + "\r\n\r\n").encode() + after)
        async with asyncio.timeout(WITHIN_S):
            head = (await socket.reader.readuntil(b"\r\n\r\n")).decode()
            status, *rows = head.strip().split("\r\n")
            named = dict(row.split(": ", 1) for row in rows)
            found = Upgrade(int(status.split()[1]), {name.lower(): value for name, value in named.items()})
            if found.status != 101:
                found = Upgrade(found.status, found.headers, await socket.reader.read())
        return found, socket

    async def enter(self, parameters: Mapping[str, str]) -> Socket:
        """A connection that is served, in the encoding that its parameters ask for."""
        found, socket = await self.upgrade(parameters)
        assert found.status == 101, found
        socket.user_id, socket.sdk = parameters["sendID"], parameters["sdkType"]
        socket.gzipped = parameters.get("compression") == "gzip"
        return socket


@dataclass(kw_only=True)
class Door(Address):
    """A gateway in this process, its state and its users' tokens."""

    state: State
    gateway: Gateway

    def token(self, user_id: str, platform: int) -> str:
        """The living token of a user and platform; a new one where there is none. Unknown users are registered."""
        if self.state.users.get(user_id) is None:
            self.state.users.put(User(user_id, user_id), user_id)
        held = self.state.tokens.get(user_id, tokens.NAMES[platform])
        living = [token for token, status in held.states.items() if status == 0] if held else []
        return living[-1] if living else tokens.issue(self.state, user_id, platform)

    def parameters(self, user_id: str, platform: int = WEB, **more: str) -> dict[str, str]:
        """The query of an ordinary connection."""
        return {
            "sendID": user_id,
            "token": self.token(user_id, platform),
            "platformID": str(platform),
            "operationID": "op",
            "isBackground": "false",
            "sdkType": "js",
        } | more

    async def connect(
        self, user_id: str, platform: int = WEB, *, sdk: str = "js", gzipped: bool = False, **more: str
    ) -> Socket:
        """A connection of this user."""
        extra = {"sdkType": sdk, **({"compression": "gzip"} if gzipped else {}), **more}
        return await self.enter(self.parameters(user_id, platform, **extra))

    async def gone(self, count: int = 0) -> None:
        """Wait until the hub holds so many connections."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.gateway.hub) != count:  # noqa: ASYNC110 - the hub tells nobody
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def served(
    state: State, settings: GatewaySettings | None = None, *, monotonic: Callable[[], float] | None = None
) -> AsyncIterator[Door]:
    """A gateway on a free port; at the end its clients are dropped, and it must hold nothing any more."""
    # Messages go on in the next turn of the loop: what an answer follows has then been pushed.
    chosen = replace(settings or GatewaySettings(), queue_s=0.0)
    gateway = Gateway(state, chosen, **({"monotonic": monotonic} if monotonic else {}))
    door = Door(state=state, gateway=gateway, port=await gateway.start("127.0.0.1", 0))
    try:
        yield door
    finally:
        for socket in door.opened:
            socket.abort()
        await door.gone()
        await gateway.stop()
    assert not state.presence.connections
    assert not gateway.hub._by_user


def text_message(sender: str, receiver: str = "", *, group: str = "", text: str = "hi", **fields: Any) -> pb.MsgData:
    """The smallest useful message, to a user or a group."""
    given = {
        "sendID": sender,
        "recvID": receiver,
        "groupID": group,
        "clientMsgID": f"c-{text}",
        "senderPlatformID": WEB,
        "sessionType": 3 if group else 1,
        "msgFrom": 100,
        "contentType": 101,
        "content": f'{{"content":"{text}"}}'.encode(),
        "createTime": 1,
        "status": 1,
    }
    return pb.MsgData(**{**given, **fields})
