"""What the gateway's WebSocket proxy does to its two ends: seen from an OpenIM that keeps its mouth shut or talks too much."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from fixtures.clients import signing
from fixtures.clients.frame_socket import FrameSocket, open_socket
from fixtures.clients.frames import Ended, Hearer, Kind
from fixtures.clients.gateway import IM_SOCKET, Gateway, Session
from fixtures.platform.__main__ import applications
from fixtures.platform.gateway import im_socket
from fixtures.platform.gateway.stores import TokenDelivery
from fixtures.platform.serving import serving
from fixtures.world import WorldConfig
from suites import match, must
from suites.selftest.openim.doubles import free_port
from suites.selftest.platform.conftest import sign_up
from suites.selftest.platform.looking import Looking

pytestmark = pytest.mark.anyio

QUIET_S = 0.3


class OpenIM(WSListener):
    """OpenIM's side of a connection: it keeps what comes and answers nothing."""

    def __init__(self, request: WSUpgradeRequest) -> None:
        self.query = parse_qs(urlsplit(request.path.decode()).query)
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.frames: list[tuple[Kind, bytes]] = []
        self.codes: list[int] = []
        self.gone = False
        self.held_up = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            self.codes.append(int.from_bytes(payload[:2], "big") if payload else 1005)
            transport.disconnect()
        else:
            self.frames.append((Kind(int(frame.msg_type)), frame.get_payload_as_bytes()))  # type: ignore[call-overload]

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone = True

    def pause_writing(self) -> None:
        self.held_up = True

    def resume_writing(self) -> None:
        pass


class Client(Hearer):
    """The client's side: it keeps what comes."""

    def __init__(self) -> None:
        self.frames: list[tuple[Kind, bytes]] = []

    def on_frame(self, kind: Kind, payload: bytes) -> None:
        self.frames.append((kind, payload))


class Between:
    """A gateway between a client and an OpenIM that a test plays."""

    def __init__(self, session: Session, socket: FrameSocket, client: Client, openim: OpenIM) -> None:
        self.session = session
        self.socket = socket
        self.client = client
        self.openim = openim

    async def at_openim(self) -> list[tuple[Kind, bytes]]:
        """The frames that reached OpenIM."""
        return list(self.openim.frames)

    async def at_client(self) -> list[tuple[Kind, bytes]]:
        """The frames that reached the client."""
        return list(self.client.frames)


@pytest.fixture
async def between(config: WorldConfig, gateway: Gateway) -> AsyncIterator[Between]:
    """A second gateway of the world, over the same stores, whose OpenIM is this test."""
    session = await sign_up(gateway, platform=5)
    made: list[OpenIM] = []

    def listen(request: WSUpgradeRequest) -> OpenIM:
        made.append(OpenIM(request))
        return made[-1]

    server = await ws_create_server(listen, "127.0.0.1", 0, enable_auto_pong=False)
    toy = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    own = replace(config, openim_ws=toy, gateway=f"http://127.0.0.1:{free_port()}")
    target = f"{IM_SOCKET}?operationID=op-1&isBackground=false&sdkType=js&sendID=x&token=y"
    headers = signing.signed_headers(session.session_id, session.secret, method="GET", target=target, body=b"")
    client = Client()
    async with server, serving(applications(own, ("gateway",), TokenDelivery.PROXY)):
        url = own.gateway.replace("http", "ws") + target
        socket = await open_socket(url, client, headers=headers, heartbeat=False)
        try:
            yield Between(session, socket, client, made[0])
        finally:
            socket.abort("the test is over")
            made[0].transport.disconnect(False)


async def test_openim_sees_the_users_connection_and_nothing_of_the_platforms(between: Between, stores: Looking) -> None:
    """User, platform and the kept token from the gateway, the rest as the client said it; no session, no signature."""
    token = await stores.im_token(between.session.user_id)
    assert between.openim.query == {
        "sendID": [between.session.user_id.hex],
        "token": [token],
        "platformID": ["5"],
        "operationID": ["op-1"],
        "isBackground": ["false"],
        "sdkType": ["js"],
    }
    assert [name for name in between.openim.headers if name.startswith("x-")] == []


async def test_frames_pass_as_they_are(between: Between) -> None:
    """Binary, text, ping and pong, each way, with their payloads; nothing is answered or added on the way."""
    sent = [(Kind.BINARY, b"\x00\xff"), (Kind.TEXT, '{"type":"ping","body":"ü"}'.encode()), (Kind.BINARY, b"")]
    for kind, payload in sent:
        between.socket.send(kind, payload)
        between.openim.transport.send(WSMsgType(kind), payload)
    await must.eventually(between.at_openim, match.equal(sent), what="what OpenIM got")
    await must.eventually(between.at_client, match.equal(sent), what="what the client got")
    for control in ((Kind.PING, b"p"), (Kind.PONG, b"q")):
        between.openim.frames.clear()
        between.client.frames.clear()
        between.socket.send(*control)
        between.openim.transport.send(WSMsgType(control[0]), control[1])
        await must.eventually(between.at_openim, match.equal([control]), what="what OpenIM got")
        await must.eventually(between.at_client, match.equal([control]), what="what the client got")
        # Whoever answered a ping for somebody else would do so now.
        await must.remain(between.at_client, match.equal([control]), what="what the client got", for_s=QUIET_S)


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (4001, 4001), (None, 1014)])
async def test_openims_end_is_the_clients(between: Between, code: int | None, told: int) -> None:
    """A close frame passes with its code and reason; TCP's bare end is told as 1014, behind the last frame."""
    between.openim.transport.send(WSMsgType.BINARY, b"last words")
    if code is None:
        between.openim.transport.disconnect()
    else:
        between.openim.transport.send(WSMsgType.CLOSE, code.to_bytes(2, "big") + b"so it is")
    async with asyncio.timeout(5):
        ended = await between.socket.wait_ended()
    assert ended == Ended(code=told, reason="OpenIM ended the connection" if code is None else "so it is", by="peer")
    assert between.client.frames == [(Kind.BINARY, b"last words")]


@pytest.mark.parametrize("code", [1000, 4002, 1005, None])
async def test_the_clients_end_is_openims(between: Between, code: int | None) -> None:
    """A close frame passes with its code; a client that vanishes leaves no connection behind."""
    if code is None:
        between.socket.abort("cable pulled")
    else:
        await between.socket.close(code)

    async def gone() -> bool:
        return between.openim.gone

    await must.eventually(gone, match.equal(True), what="whether OpenIM's connection ended")
    assert between.openim.codes == ([code] if code is not None else [1005])


async def test_a_client_that_reads_slowly_holds_openim_up(between: Between) -> None:
    """No frame is lost, and no more than a few megabytes wait in between."""
    between.socket.pause()
    frame = b"x" * 1_000_000
    for number in range(40):
        between.openim.transport.send(WSMsgType.BINARY, bytes([number]) + frame)
        await asyncio.sleep(0.01)

    async def held_up() -> bool:
        return between.openim.held_up

    await must.eventually(held_up, match.equal(True), what="whether OpenIM has to wait")
    between.socket.resume()

    async def numbers() -> list[int]:
        return [payload[0] for _, payload in between.client.frames]

    await must.eventually(numbers, match.equal(list(range(40))), what="what the client got")


async def test_an_openim_that_reads_slowly_holds_the_client_up(between: Between) -> None:
    """The other way round: the client waits until OpenIM reads on, and everything arrives."""
    between.openim.transport.underlying_transport.pause_reading()
    frame = b"y" * 1_000_000

    async def send_all() -> None:
        for number in range(40):
            between.socket.send(Kind.BINARY, bytes([number]) + frame)
            await between.socket.drain()

    sending = asyncio.create_task(send_all())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(sending), 1.0)
    assert not sending.done()
    between.openim.transport.underlying_transport.resume_reading()
    async with asyncio.timeout(10):
        await sending

    async def numbers() -> list[int]:
        return [payload[0] for _, payload in between.openim.frames]

    await must.eventually(numbers, match.equal(list(range(40))), what="what OpenIM got")


async def test_a_client_that_takes_nothing_is_let_go_of(between: Between, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames wait, OpenIM is held up, and nobody takes them: both connections end, and nothing stays in the gateway."""
    monkeypatch.setattr(im_socket, "STALLED_S", 0.3)
    between.socket.pause()
    for _ in range(40):
        between.openim.transport.send(WSMsgType.BINARY, b"z" * 1_000_000)
        await asyncio.sleep(0.01)

    async def gone() -> bool:
        return between.openim.gone

    await must.eventually(gone, match.equal(True), what="whether OpenIM's connection ended")
    between.socket.resume()
    async with asyncio.timeout(5):
        ended = await between.socket.wait_ended()
    assert (ended.code, ended.by) == (None, "peer")
    assert len(between.client.frames) < 40


async def test_an_openim_that_takes_nothing_is_let_go_of(between: Between, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round: the client hears that OpenIM is gone instead of talking to nobody."""
    monkeypatch.setattr(im_socket, "STALLED_S", 0.3)
    between.openim.transport.underlying_transport.pause_reading()
    for _ in range(40):
        between.socket.send(Kind.BINARY, b"z" * 1_000_000)
    async with asyncio.timeout(10):
        ended = await between.socket.wait_ended()
    assert ended.by == "peer"
