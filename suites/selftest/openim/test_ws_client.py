"""Our WebSocket client, against peers that a real server is on its bad days, and against the double."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from fixtures.clients import frame_socket, openim_ws_calls
from fixtures.clients.frames import Ended, HandshakeRefused, SocketEnded
from fixtures.clients.openim_calls import OpenIMError
from fixtures.clients.openim_ws import OpenIMWebSocket
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import JSON, Answer, Request

pytestmark = pytest.mark.anyio

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJVc2VySUQiOiJhIn0.secret"  # noqa: S105 (nobody's)
Script = Callable[["Peer", Request], None]


class Peer(WSListener):
    """A server's side of one connection, doing what a test says."""

    def __init__(self, script: Script | None, greets: bytes | None = None) -> None:
        self.script = script
        self.greets = greets
        self.pings = 0
        self.requests: list[Request] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        if self.greets is not None:
            transport.send(WSMsgType.TEXT, self.greets)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            self.pings += 1
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.BINARY:
            request = JSON.decode_request(frame.get_payload_as_bytes())
            self.requests.append(request)
            if self.script is not None:
                self.script(self, request)

    def answers(self, request: Request, data: bytes | None = b"", **more: Any) -> None:
        fields = {"req_identifier": request.req_identifier, "msg_incr": request.msg_incr, "data": data, **more}
        self.transport.send(WSMsgType.BINARY, JSON.encode_answer(Answer(**fields)))

    def pushes(self, pushed: pb.PushMessages) -> None:
        answer = Answer(2001, operation_id="caused", data=pushed.SerializeToString())
        self.transport.send(WSMsgType.BINARY, JSON.encode_answer(answer))


@contextlib.asynccontextmanager
async def peer(
    script: Script | None = None, *, greets: bytes | None = None, auto_pong: bool = True
) -> AsyncIterator[tuple[str, list[Peer]]]:
    """A server whose connections follow a script; its URL and its connections."""
    made: list[Peer] = []

    def listen(request: WSUpgradeRequest) -> Peer:
        made.append(Peer(script, greets))
        return made[-1]

    server = await ws_create_server(listen, "127.0.0.1", 0, enable_auto_pong=auto_pong)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", made


@contextlib.asynccontextmanager
async def plain(*pieces: bytes, hang: bool = False) -> AsyncIterator[str]:
    """A server that answers any connection with these pieces, one after the other, and hangs up (or hangs)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        if hang:
            with contextlib.suppress(asyncio.CancelledError):
                await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def connect(url: str, **options: Any) -> OpenIMWebSocket:
    return await OpenIMWebSocket.connect(url, user_id="a", platform_id=5, token=TOKEN, **{"timeout_s": 0.3, **options})


# ---- the handshake ----

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
_REFUSAL = b'{"errCode":1506,"errMsg":"TokenKickedError","errDlt":"told"}'


@pytest.mark.parametrize(
    "pieces",
    [
        (_HEAD % len(_REFUSAL) + _REFUSAL,),
        (_HEAD % len(_REFUSAL), _REFUSAL),
        (_HEAD % len(_REFUSAL), _REFUSAL[:20], _REFUSAL[20:]),
    ],
)
async def test_a_refusal_is_openims_however_it_arrives(pieces: tuple[bytes, ...]) -> None:
    """HTTP 200 with an errCode, in one piece or in several, is the typed refusal with all three fields."""
    async with plain(*pieces) as url:
        with pytest.raises(OpenIMError) as refused:
            await connect(url)
    assert (refused.value.err_code, refused.value.err_msg, refused.value.err_dlt) == (1506, "TokenKickedError", "told")
    assert TOKEN not in str(refused.value) + repr(refused.value.__cause__)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",), 404),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n", b"<html></html>"), 200),
        ((b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\nContent-Length: 0\r\n\r\n",), 302),
    ],
)
async def test_any_other_answer_says_its_status(pieces: tuple[bytes, ...], status: int) -> None:
    """What is no envelope of OpenIM's keeps its HTTP status and body; no redirect is followed with a token."""
    async with plain(*pieces) as url:
        with pytest.raises(HandshakeRefused) as refused:
            await connect(url)
    assert refused.value.status == status
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("pieces", [(b"220 mail.example ESMTP\r\n\r\n",), ()])
async def test_what_is_no_websocket_server_is_a_connection_error(pieces: tuple[bytes, ...]) -> None:
    """Another protocol, or a peer that hangs up: OSError, as for nobody at all."""
    async with plain(*pieces) as url:
        with pytest.raises(OSError, match=r"WebSocket|handshake") as failed:
            await connect(url)
    assert TOKEN not in str(failed.value)
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await connect("ws://127.0.0.1:1")


@pytest.mark.parametrize("pieces", [(), (_HEAD % 500,)])
async def test_a_server_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    """Without an answer, or with half of one, the handshake ends by its time-out."""
    opened = frame_socket.open_socket
    monkeypatch.setattr(openim_ws_calls, "open_socket", lambda *a, **k: opened(*a, **{**k, "timeout_s": 0.3}))
    async with plain(*pieces, hang=True) as url:
        with pytest.raises(TimeoutError):
            await connect(url)


async def test_the_greeting_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """With isMsgResp: taken with errCode 0, refused with another, given up without any."""
    monkeypatch.setattr(openim_ws_calls, "HANDSHAKE_S", 0.2)
    async with peer(greets=b'{"errCode":0,"errMsg":"","errDlt":""}') as (url, _):
        socket = await connect(url, greeting=True)
        assert socket.ended is None
        await socket.close()
    async with peer(greets=b'{"errCode":1501,"errMsg":"TokenExpiredError","errDlt":""}') as (url, _):
        with pytest.raises(OpenIMError, match="1501"):
            await connect(url, greeting=True)
    async with peer() as (url, _):
        with pytest.raises(TimeoutError, match="greeting"):
            await connect(url, greeting=True)


# ---- requests ----


async def test_an_answer_that_does_not_come_leaves_the_outcome_unknown() -> None:
    """Time-out for the caller; the answer that comes later belongs to nobody, and the next request gets its own."""
    held: list[Request] = []

    def script(peer: Peer, request: Request) -> None:
        if not held:
            held.append(request)
            return
        peer.answers(held[0], pb.GetMaxSeqResp(maxSeqs={"late": 1}).SerializeToString())
        peer.answers(request, pb.GetMaxSeqResp(maxSeqs={"own": 2}).SerializeToString())

    async with peer(script) as (url, _), await connect(url) as socket:
        with pytest.raises(TimeoutError, match="outcome is unknown"):
            await socket.max_seqs()
        assert await socket.max_seqs() == {"own": 2}
        assert socket.unexpected == 1


async def test_answers_find_their_requests_in_any_order() -> None:
    """msgIncr alone ties an answer to its request."""
    waiting: list[Request] = []

    def script(peer: Peer, request: Request) -> None:
        waiting.append(request)
        if len(waiting) == 3:
            for one in reversed(waiting):
                peer.answers(one, pb.GetMaxSeqResp(maxSeqs={one.msg_incr: 1}).SerializeToString())

    async with peer(script) as (url, peers), await connect(url) as socket:
        found = await asyncio.gather(*(socket.max_seqs() for _ in range(3)))
        assert [list(one) for one in found] == [[request.msg_incr] for request in peers[0].requests]


@pytest.mark.parametrize("how", ["tcp", "code"])
async def test_the_end_of_the_connection_ends_every_wait(how: str) -> None:
    """Requests in flight and later ones raise how it ended; their outcome is unknown, not refused."""

    def script(peer: Peer, request: Request) -> None:
        if how == "code":
            peer.transport.send_close(WSCloseCode.GOING_AWAY, b"restart")
        else:
            peer.transport.disconnect()

    async with peer(script) as (url, _):
        socket = await connect(url)
        found = await asyncio.gather(*(socket.max_seqs() for _ in range(2)), return_exceptions=True)
        ended = (
            Ended(code=1001, reason="restart", by="peer") if how == "code" else Ended(code=None, reason="", by="peer")
        )
        assert [one.ended for one in found if isinstance(one, SocketEnded)] == [ended, ended]
        assert [push async for push in socket.pushes()] == []
        with pytest.raises(SocketEnded):
            await socket.max_seqs()


async def test_nothing_is_heard_after_a_close_frame() -> None:
    """An answer behind the peer's close frame is none: the request's outcome is unknown."""

    def script(peer: Peer, request: Request) -> None:
        peer.transport.send_close(WSCloseCode.MESSAGE_TOO_BIG, b"too big")
        peer.answers(request)

    async with peer(script) as (url, _), await connect(url) as socket:
        with pytest.raises(SocketEnded) as ended:
            await socket.max_seqs()
        assert ended.value.ended.code == 1009


async def test_odd_frames_are_counted_and_harm_nothing() -> None:
    """Garbage, an answer to nothing, a push that nobody can read: the connection and its requests go on."""

    def script(peer: Peer, request: Request) -> None:
        peer.transport.send(WSMsgType.BINARY, b"\x00garbage")
        peer.transport.send(WSMsgType.TEXT, b"text")
        peer.answers(request, msg_incr="999")
        peer.transport.send(WSMsgType.BINARY, JSON.encode_answer(Answer(2001, data=b"\xff\xff")))
        peer.answers(request, pb.GetMaxSeqResp(maxSeqs={"x": 1}).SerializeToString())

    async with peer(script) as (url, _), await connect(url) as socket:
        assert await socket.max_seqs() == {"x": 1}
        assert socket.unexpected == 4


async def test_an_answer_that_nobody_can_read_is_no_success() -> None:
    """errCode 0 with undecodable data: what was answered is unknown."""
    async with peer(lambda peer, request: peer.answers(request, b"\xff\xff")) as (url, _), await connect(url) as socket:
        with pytest.raises(DecodeError):
            await socket.max_seqs()


async def test_a_refusal_carries_openims_code() -> None:
    """An errCode in an answer is an OpenIMError of that request."""

    def script(peer: Peer, request: Request) -> None:
        peer.answers(request, None, err_code=1302, err_msg="BlockedByPeer")

    async with peer(script) as (url, _), await connect(url) as socket:
        with pytest.raises(OpenIMError, match="1003 with errCode 1302"):
            await socket.send_text("x", recv_id="b")


# ---- what comes unasked ----


async def test_pushes_come_typed_in_order_and_once() -> None:
    """Messages and notifications with their conversation, seq, detail and time of arrival; fragments are put together."""

    def script(peer: Peer, request: Request) -> None:
        text = pb.MsgData(seq=7, content=b'{"content":"t"}', serverMsgID="s")
        note = pb.MsgData(contentType=2200, content=b'{"detail":"{\\"hasReadSeq\\":3}"}')
        pushed = pb.PushMessages(
            msgs={"si_a_b": pb.PullMsgs(Msgs=[text])}, notificationMsgs={"n_a_b": pb.PullMsgs(Msgs=[note])}
        )
        peer.pushes(pushed)
        frame = JSON.encode_answer(Answer(2001, data=pb.PushMessages(msgs=pushed.msgs).SerializeToString()))
        peer.transport.send(WSMsgType.BINARY, frame[:10], fin=False)
        peer.transport.send(WSMsgType.CONTINUATION, frame[10:20], fin=False)
        peer.transport.send(WSMsgType.CONTINUATION, frame[20:])
        peer.answers(request)

    async with peer(script) as (url, _), await connect(url) as socket:
        await socket.max_seqs()
        stream = socket.pushes()
        found = [await anext(stream) for _ in range(3)]
    assert [(one.message.conversation_id, one.message.seq, one.notification) for one in found] == [
        ("si_a_b", 7, False),
        ("n_a_b", 0, True),
        ("si_a_b", 7, False),
    ]
    assert (found[0].message.text, found[1].message.text) == ("t", "")
    assert (dict(found[1].message.detail), dict(found[0].message.detail)) == ({"hasReadSeq": 3}, {})
    assert found[0].arrived_ns <= found[2].arrived_ns
    assert found[0].operation_id == "caused"


async def test_unread_pushes_end_the_connection_instead_of_being_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody reads has a bound, and reaching it is told."""
    monkeypatch.setattr(openim_ws_calls, "PUSHES_UNREAD_MAX", 3)
    pushed = pb.PushMessages(msgs={"si_a_b": pb.PullMsgs(Msgs=[pb.MsgData(seq=1)])})

    def script(peer: Peer, request: Request) -> None:
        for _ in range(4):
            peer.pushes(pushed)

    async with peer(script) as (url, _), await connect(url) as socket:
        with pytest.raises(SocketEnded, match="wait to be read"):
            await socket.max_seqs()
        assert len([push async for push in socket.pushes()]) == 4


async def test_a_kick_is_told_apart_from_any_end() -> None:
    """2002, then the end of TCP: `kicked` says so."""

    def script(peer: Peer, request: Request) -> None:
        peer.transport.send(WSMsgType.BINARY, JSON.encode_answer(Answer(2002)))
        peer.transport.disconnect()

    async with peer(script) as (url, _), await connect(url) as socket:
        with pytest.raises(SocketEnded):
            await socket.max_seqs()
        assert socket.kicked


# ---- heartbeats ----


async def test_it_says_regularly_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ping every HEARTBEAT_S, and more often than the server's patience of 30 s."""
    assert frame_socket.HEARTBEAT_S < 30
    monkeypatch.setattr(frame_socket, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(frame_socket, "_PONG_S", 0.1)

    class Counting(Peer):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            super().on_ws_frame(transport, frame)
            if frame.msg_type == WSMsgType.PING:
                transport.send_pong(frame.get_payload_as_bytes())

    made: list[Counting] = []

    def listen(request: WSUpgradeRequest) -> Peer:
        made.append(Counting(None))
        return made[-1]

    server = await ws_create_server(listen, "127.0.0.1", 0, enable_auto_pong=False)
    async with server, await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as socket:
        await asyncio.sleep(1.1)
        assert 4 <= made[0].pings <= 6
        assert socket.ended is None


async def test_a_peer_that_no_longer_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-open connection ends by itself, and the end is ours."""
    monkeypatch.setattr(frame_socket, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(frame_socket, "_PONG_S", 0.1)
    async with peer(auto_pong=False) as (url, _):
        socket = await connect(url)
        async with asyncio.timeout(5):
            ended = await socket.wait_ended()
        assert ended.by == "us"
        assert "ping" in ended.reason
