"""Connections that have gone silent are ended; web clients are pinged (recorded sessions 25 and 26)."""

from __future__ import annotations

import asyncio

import pytest

from fixtures.openim.gateway.server import GatewaySettings
from fixtures.openim.state import State
from suites.selftest.openim.doubles import Clock
from suites.selftest.openim.sockets import ANDROID, BINARY, PING, PONG, TEXT, WEB, Socket, frame, served

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]

# The recorded periods, on a clock that moves when told to; the watch itself looks often.
SETTINGS = GatewaySettings(read_timeout_s=30.0, ping_period_s=27.0)


@pytest.fixture(autouse=True)
def _watches_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch sleeps for a quarter of a second; here it is to look at once."""
    monkeypatch.setattr("fixtures.openim.gateway.server._LOOK_S", 0.002)


async def looks() -> None:
    """Let the watch look several times."""
    await asyncio.sleep(0.03)


async def test_silence_of_30_seconds_ends_tcp_without_a_close_frame(state: State) -> None:
    """Not one moment earlier; each connection has its own time (session 26)."""
    clock = Clock(1000.0)
    async with served(state, SETTINGS, monotonic=clock) as door:
        early = await door.connect("ann", ANDROID)
        clock.now_s += 10
        late = await door.connect("ann", ANDROID)
        clock.now_s += 19.9
        await looks()
        assert len(door.gateway.hub) == 2
        clock.now_s += 0.2
        assert await early.end() == []
        assert await late.settle() == []


@pytest.mark.parametrize(
    "sign",
    [
        frame(PING, b"x"),
        frame(PONG, b""),
        frame(TEXT, b'{"type":"pong"}'),
        frame(TEXT, b'{"type":"ping"}'),
        frame(BINARY, b'{"reqIdentifier":1004,"sendID":"ann"}'),
        frame(BINARY, b"{", fin=False),
    ],
    ids=["ping", "pong", "text pong", "text ping", "request", "piece"],
)
async def test_any_frame_is_a_sign_of_life(state: State, sign: bytes) -> None:
    """Control frames, text, requests and pieces of them (session 26)."""
    clock = Clock(1000.0)
    async with served(state, SETTINGS, monotonic=clock) as door:
        socket = await door.connect("ann", ANDROID)
        (held,) = door.gateway.hub
        clock.now_s += 29
        socket.write(sign)
        async with asyncio.timeout(5):
            while held.heard_s != clock.now_s:  # noqa: ASYNC110 - a connection tells nobody
                await asyncio.sleep(0.001)
        clock.now_s += 29
        await looks()
        assert len(door.gateway.hub) == 1
        clock.now_s += 1
        await socket.end()


async def pinged(socket: Socket) -> bool:
    """Whether the server's ping, which is empty, came before what is answered now."""
    socket.send(PING, b"now")
    frames = []
    while (PONG, b"now") not in frames:
        frames.append(await socket.read())
    assert all(one == (PING, b"") for one in frames[:-1])
    assert len(frames) <= 2
    return len(frames) == 2


async def test_only_web_clients_are_pinged(state: State) -> None:
    """Every 27 seconds, an empty control ping; the others must ping by themselves (sessions 25 and 26)."""
    clock = Clock(1000.0)
    async with served(state, SETTINGS, monotonic=clock) as door:
        web, phone = await door.connect("ann", WEB), await door.connect("ann", ANDROID)
        for step_s, expected in ((26.9, False), (0.2, True), (26.8, False), (0.2, True)):
            clock.now_s += step_s
            await looks()
            assert (await pinged(web), await pinged(phone)) == (expected, False)


async def test_a_web_client_that_answers_no_ping_is_ended(state: State) -> None:
    """The ping alone keeps nobody alive; the pong does (session 26)."""
    clock = Clock(1000.0)
    async with served(state, SETTINGS, monotonic=clock) as door:
        silent = await door.connect("ann")
        clock.now_s += 27
        assert await silent.read() == (PING, b"")
        clock.now_s += 3
        assert await silent.end() == []


async def test_a_half_open_connection_is_left_alone(state: State) -> None:
    """A connection made half-open is what silence looks like; ending it would tell its client."""
    clock = Clock(1000.0)
    async with served(state, SETTINGS, monotonic=clock) as door:
        socket = await door.connect("ann")
        assert state.strike_connections("half_open", "ann") == 1
        clock.now_s += 300
        await looks()
        assert len(door.gateway.hub) == 1
        socket.abort()
