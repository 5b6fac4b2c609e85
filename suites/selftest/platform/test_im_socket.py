"""OpenIM's WebSocket through the gateway: who one is comes from the session, frames pass as they are, ends are passed on."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from fixtures.clients import signing
from fixtures.clients.frame_socket import FrameSocket, open_socket
from fixtures.clients.frames import Ended, HandshakeRefused, Hearer, Kind, SocketEnded
from fixtures.clients.gateway import IM_SOCKET, Gateway, GatewayError, Session
from fixtures.clients.openim_calls import OpenIMError
from fixtures.clients.openim_ws import WARM_UP_S, OpenIMWebSocket
from fixtures.clients.openim_ws_calls import SdkType
from fixtures.stack import Stack
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import JSON, Request
from fixtures.world import WorldConfig
from suites import match, must
from suites.selftest.platform.conftest import new_phone, sign_up
from suites.selftest.platform.looking import Looking

pytestmark = pytest.mark.anyio


class Ear(Hearer):
    """Keeps what a raw connection brings."""

    def __init__(self) -> None:
        self.frames: list[tuple[Kind, bytes]] = []

    def on_frame(self, kind: Kind, payload: bytes) -> None:
        self.frames.append((kind, payload))


@asynccontextmanager
async def raw(config: WorldConfig, session: Session, query: str = "") -> AsyncIterator[tuple[FrameSocket, Ear]]:
    """A connection through the gateway in frames, with any query, signed."""
    ear, target = Ear(), f"{IM_SOCKET}?{query or 'operationID=x&isBackground=false&sdkType=js'}"
    headers = signing.signed_headers(session.session_id, session.secret, method="GET", target=target, body=b"")
    socket = await open_socket(config.gateway.replace("http", "ws") + target, ear, headers=headers, heartbeat=False)
    try:
        yield socket, ear
    finally:
        socket.abort("test is over")


async def refused(config: WorldConfig, target: str, headers: dict[str, str]) -> HandshakeRefused:
    """The refusal of a handshake."""
    with pytest.raises(HandshakeRefused) as found:
        await open_socket(config.gateway.replace("http", "ws") + target, Ear(), headers=headers)
    return found.value


async def platform_log(config: WorldConfig) -> str:
    """What the world's platform has written so far."""
    return (Path(config.run_dir).parents[1] / "logs" / config.name / "platform.log").read_text()


@pytest.mark.parametrize(
    ("sdk_type", "gzipped", "greeting"), [("js", False, False), ("go", True, False), ("js", False, True)]
)
async def test_messages_go_both_ways(
    gateway: Gateway, sdk_type: SdkType, gzipped: bool, greeting: bool, stores: Looking, config: WorldConfig
) -> None:
    """Two people with a session each talk over OpenIM's WebSocket; neither saw an imToken, nor did any log."""
    alice, bob = await sign_up(gateway), await sign_up(gateway, platform=5)
    heard: list[bytes] = []
    async with AsyncExitStack() as stack:
        hers, his = [
            await stack.enter_async_context(
                await one.im_socket(
                    sdk_type=sdk_type,
                    gzipped=gzipped,
                    greeting=greeting,
                    heard=lambda _kind, answer, payload: heard.append(
                        payload + (answer.data or b"" if answer else b"")
                    ),
                )
            )
            for one in (alice, bob)
        ]
        await asyncio.sleep(WARM_UP_S)
        ack = await hers.send_text("hello 🦊", recv_id=bob.user_id.hex)
        async with asyncio.timeout(10):
            pushed = [await anext(one.pushes()) for one in (hers, his)]
        assert [(push.message.text, push.message.server_msg_id) for push in pushed] == [
            ("hello 🦊", ack.server_msg_id)
        ] * 2
        conversation = pushed[0].message.conversation_id
        pulled = await his.pull_range(conversation, begin=1, end=10)
        assert [one.text for one in pulled.messages] == ["hello 🦊"]
        assert hers.ended is None
    log = await must.eventually(
        lambda: platform_log(config), match.has("WebSocket /im/ws 101"), what="the platform's log"
    )
    shown = b"\n".join(heard).decode(errors="replace") + log + str(hers.headers) + str(his.headers)
    for one in (alice, bob):
        token = await stores.im_token(one.user_id)
        assert token
        assert token not in shown


async def test_who_one_is_comes_from_the_session_alone(gateway: Gateway, config: WorldConfig) -> None:
    """A sendID, token, platformID or `v` of the client's is not looked at: the connection is the caller's own."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    claim = (
        base64.urlsafe_b64encode(json.dumps({"userID": bob.user_id.hex, "token": "x"}).encode()).decode().rstrip("=")
    )
    query = f"sendID={bob.user_id.hex}&token=x&platformID=9&v={claim}&operationID=o&isBackground=false&sdkType=js"
    async with raw(config, alice, query) as (socket, ear):
        socket.send(Kind.BINARY, _asks_as(alice, "1"))
        await must.eventually(lambda: _now(len(ear.frames)), match.equal(1), what="answers")
        answer = json.loads(ear.frames[0][1])
        assert (answer["msgIncr"], answer["errCode"]) == ("1", 0)
        socket.send(Kind.BINARY, _asks_as(bob, "2"))
        async with asyncio.timeout(5):
            assert (await socket.wait_ended()).by == "peer"
    assert len(ear.frames) == 1


async def test_a_claim_to_be_somebody_else_gets_no_answer(gateway: Gateway) -> None:
    """The probe of the canary: asked for as another user, a healthy gateway connects the caller as the caller."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    async with await alice.im_socket(claim=bob.user_id.hex) as socket:
        with pytest.raises(SocketEnded):
            await socket.max_seqs()


def _asks_as(user: Session, number: str) -> bytes:
    """A question for the newest seqs, whose envelope and payload both name this user."""
    name = user.user_id.hex
    data = pb.GetMaxSeqReq(userID=name).SerializeToString()
    return JSON.encode_request(Request(1001, send_id=name, operation_id="o", msg_incr=number, data=data))


async def _now(value: int) -> int:
    return value


@pytest.mark.parametrize("what", ["unsigned", "no session", "wrong secret", "other target", "other method"])
async def test_a_handshake_needs_a_signature(gateway: Gateway, config: WorldConfig, what: str) -> None:
    """The handshake is signed like a call that changes something; without that it is a 401 and nothing is upgraded."""
    session = await sign_up(gateway)
    target = f"{IM_SOCKET}?operationID=x&isBackground=false"
    headers = signing.signed_headers(
        session.session_id,
        "0" * 64 if what == "wrong secret" else session.secret,
        method="POST" if what == "other method" else "GET",
        target=IM_SOCKET if what == "other target" else target,
        body=b"",
    )
    if what == "unsigned":
        headers = {signing.SESSION_HEADER: session.session_id}
    if what == "no session":
        del headers[signing.SESSION_HEADER]
    refusal = await refused(config, target, headers)
    assert refusal.status == 401
    assert json.loads(refusal.body)["error"]["code"] == "unauthorised"


async def test_a_handshake_cannot_be_replayed(gateway: Gateway, config: WorldConfig) -> None:
    """The same signed handshake a second time is a 409."""
    session = await sign_up(gateway)
    target = f"{IM_SOCKET}?operationID=x&isBackground=false&sdkType=js"
    headers = signing.signed_headers(session.session_id, session.secret, method="GET", target=target, body=b"")
    first = await open_socket(config.gateway.replace("http", "ws") + target, Ear(), headers=headers)
    await first.close()
    assert (await refused(config, target, headers)).status == 409


async def test_an_ended_session_gets_no_connection(gateway: Gateway) -> None:
    """After the logout the handshake is refused, in the gateway's words."""
    session = await sign_up(gateway)
    await session.logout()
    with pytest.raises(GatewayError, match="401"):
        await session.im_socket()


@pytest.mark.parametrize("greeting", [False, True])
@pytest.mark.parametrize("loss", ["deleted", "kicked", "another platform's"])
async def test_a_dead_token_is_renewed_once(gateway: Gateway, stores: Looking, loss: str, greeting: bool) -> None:
    """The connection stands although the kept token is gone, kicked, or belongs to the user's other device."""
    phone = new_phone()
    session = await gateway.sign_up(phone, "Renewed", platform=2)
    if loss == "deleted":
        await stores.redis.delete(f"im:token:{session.user_id}")
    elif loss == "kicked":
        await stores.im.force_logout(session.user_id.hex, session.platform)
    else:
        await gateway.login(phone, platform=5)
    async with await session.im_socket(greeting=greeting) as socket:
        assert await socket.max_seqs() == {}
    token = await stores.im_token(session.user_id)
    assert (await stores.im.parse_token(str(token)))["platformID"] == session.platform


async def test_openims_own_refusal_comes_in_its_own_words(gateway: Gateway, config: WorldConfig) -> None:
    """A parameter that OpenIM does not take is HTTP 200 with its errCode, as without a gateway."""
    session = await sign_up(gateway)
    target = f"{IM_SOCKET}?operationID=x&isBackground=false&sdkType=cobol"
    headers = signing.signed_headers(session.session_id, session.secret, method="GET", target=target, body=b"")
    refusal = await refused(config, target, headers)
    assert refusal.status == 200
    assert json.loads(refusal.body)["errCode"] == 1602


async def test_pings_and_texts_reach_openim_itself(gateway: Gateway, config: WorldConfig) -> None:
    """A control ping comes back with its payload, a text ping with its body: the gateway answers neither."""
    session = await sign_up(gateway)
    async with raw(config, session) as (socket, ear):
        socket.send(Kind.PING, b"are you there")
        socket.send(Kind.TEXT, b'{"type":"ping","body":7}')
        await must.eventually(lambda: _now(len(ear.frames)), match.equal(2), what="answers")
    assert (Kind.PONG, b"are you there") in ear.frames
    texts = [json.loads(payload) for kind, payload in ear.frames if kind is Kind.TEXT]
    assert texts == [{"type": "pong", "body": 7}]


async def test_a_kick_passes_and_ends_the_connection(gateway: Gateway, stores: Looking) -> None:
    """2002 reaches the client, and then its connection is over, with a code that says that OpenIM did it."""
    session = await sign_up(gateway)
    socket = await session.im_socket()
    await stores.im.force_logout(session.user_id.hex, session.platform)
    async with asyncio.timeout(10):
        ended = await socket.wait_ended()
    assert (socket.kicked, ended.code, ended.by) == (True, 1014, "peer")


async def test_a_logout_ends_the_connection(gateway: Gateway) -> None:
    """Whoever signs out of the platform is out of OpenIM, too."""
    session = await sign_up(gateway)
    socket = await session.im_socket()
    await session.logout()
    async with asyncio.timeout(10):
        await socket.wait_ended()
    assert socket.kicked


async def test_a_second_device_of_the_same_platform_kicks_the_first(gateway: Gateway) -> None:
    """OpenIM's policy 1 reaches through the gateway: one connection a platform, another platform stays."""
    phone = new_phone()
    old = await (await gateway.sign_up(phone, "Old", platform=2)).im_socket()
    other = await (await gateway.login(phone, platform=5)).im_socket()
    # Two tokens of one platform within a second are the same token, and kick nobody (trap R7).
    await asyncio.sleep(1.1)
    new = await (await gateway.login(phone, platform=2)).im_socket()
    async with asyncio.timeout(10):
        await old.wait_ended()
    assert old.kicked
    assert [one.ended for one in (other, new)] == [None, None]
    await other.close()
    await new.close()


@pytest.mark.parametrize("code", [1000, 3456, 1005])
async def test_a_clients_close_reaches_openim(gateway: Gateway, stores: Looking, code: int) -> None:
    """The client's end is OpenIM's: a moment later the user is no longer online there."""
    session, looker = await sign_up(gateway), await sign_up(gateway)
    async with await looker.im_socket() as eye:
        socket = await session.im_socket()
        user = session.user_id.hex

        async def platforms() -> tuple[int, ...]:
            return (await eye.subscribe_online([user]))[user]

        await must.eventually(platforms, match.equal((2,)), what="the user's platforms online")
        await socket._open.close(code)
        assert socket.ended == Ended(code=code, reason="", by="us")
        await must.eventually(platforms, match.equal(()), what="the user's platforms online")


async def test_a_frame_over_openims_limit_is_openims_to_refuse(gateway: Gateway) -> None:
    """51 201 bytes: the close code 1009 comes through (session 32)."""
    session = await sign_up(gateway)
    async with await session.im_socket() as socket:
        with pytest.raises(SocketEnded) as ended:
            await socket.send_text("x" * 51_201, recv_id=session.user_id.hex)
        assert ended.value.ended.code == 1009


async def test_a_flood_is_delivered_whole(gateway: Gateway) -> None:
    """Sixty answers of 30 kB to a client that reads late: none is missing, in order, and the gateway lives."""
    session = await sign_up(gateway)
    async with await session.im_socket() as socket:
        await asyncio.sleep(WARM_UP_S)
        for number in range(60):
            await socket.send_text(f"{number:04d}" + "x" * 30_000, recv_id=session.user_id.hex)
        conversation = f"si_{session.user_id.hex}_{session.user_id.hex}"
        await must.eventually(lambda: _max_seq(socket, conversation), match.equal(60), what="what is stored")
        socket._open.pause()
        pulls = [asyncio.create_task(socket.pull_range(conversation, begin=1, end=60)) for _ in range(8)]
        await asyncio.sleep(1)
        socket._open.resume()
        for pull in pulls:
            texts = [one.text[:4] for one in (await pull).messages]
            assert texts == [f"{number:04d}" for number in range(60)]


async def _max_seq(socket: OpenIMWebSocket, conversation: str) -> int:
    return (await socket.max_seqs()).get(conversation, 0)


async def test_without_openim_the_handshake_is_a_502_and_a_standing_connection_ends(stack: Stack) -> None:
    """Nothing is upgraded that leads nowhere, and nobody waits on a line that is dead."""
    with stack.new_world(broker=False) as world:
        async with Gateway(world.config.gateway) as gateway:
            session = await sign_up(gateway)
            socket = await session.im_socket()
            assert world.openim is not None
            world.openim.discard()
            async with asyncio.timeout(10):
                assert (await socket.wait_ended()).by == "peer"
            with pytest.raises(GatewayError) as refusal:
                await session.im_socket()
            assert (refusal.value.status, refusal.value.code) == (502, "openim_away")
            # The line is written when the answer is out.
            log = await must.eventually(
                lambda: platform_log(world.config), match.has("WebSocket /im/ws 502"), what="the platform's log"
            )
    assert "eyJ" not in log


async def test_the_old_path_of_a_browser_is_no_way_in(config: WorldConfig) -> None:
    """A WebSocket on a path that takes none is refused, and plain HTTP on the WebSocket's path too."""
    assert (await refused(config, "/nowhere", {})).status in (403, 404)
    async with httpx.AsyncClient(base_url=config.gateway, trust_env=False) as client:
        assert (await client.get(IM_SOCKET)).status_code in (401, 404, 405)


async def test_openim_error_stays_typed(gateway: Gateway) -> None:
    """A refusal inside the connection is OpenIM's, with its code; the connection stays."""
    session = await sign_up(gateway)
    async with await session.im_socket() as socket:
        with pytest.raises(OpenIMError) as refusal:
            await socket.send_text("x", recv_id="nobody")
        assert refusal.value.err_code == 1004
        with suppress(OpenIMError):
            await socket.send_text("x", recv_id="")
        assert socket.ended is None
