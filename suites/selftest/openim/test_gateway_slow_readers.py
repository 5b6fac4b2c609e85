"""Clients that do not read what they are sent, and what is left of connections that were ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fixtures.openim.gateway.server import GatewaySettings
from fixtures.openim.state import State
from suites.selftest.openim.sockets import PING, TEXT, Socket, frame, served, text_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]


def deaf(socket: Socket) -> None:
    """Let a client read no more."""
    transport: Any = socket.writer.transport
    transport.pause_reading()


LARGE = text_message("ann", "ben", clientMsgID="c", text="x" * 25_000, options={"senderSync": False})


async def test_a_client_that_does_not_read_is_cut_off_and_its_twin_is_not(state: State) -> None:
    """When more than the queue holds wait for it; the push that does it still reaches the user's other connection."""
    async with served(state, GatewaySettings(queue_frames=8)) as door:
        ann, slow, twin = await door.connect("ann"), await door.connect("ben"), await door.connect("ben")
        deaf(slow)
        sent = 0
        while len(door.gateway.hub.of("ben")) == 2:
            sent += 1
            assert sent < 2_000
            await ann.say(LARGE)
        assert [message.seq for _, message in await twin.settle()] == list(range(1, sent + 1))
        assert len(door.gateway.hub) == 2


@pytest.mark.parametrize(
    "ping",
    [frame(PING, b"x" * 125), frame(TEXT, b'{"type":"ping","body":"%b"}' % (b"x" * 40_000))],
    ids=["control", "text"],
)
async def test_pongs_pile_up_no_more_than_other_frames(state: State, ping: bytes) -> None:
    """Who pings and does not read is cut off too: pongs may not fill the memory."""
    async with served(state, GatewaySettings(queue_frames=8)) as door:
        socket = await door.connect("ann")
        deaf(socket)
        async with asyncio.timeout(20):
            while len(door.gateway.hub):
                socket.write(ping * 20)
                await asyncio.sleep(0)


async def test_a_kicked_client_that_does_not_read_is_cut_off_at_last(state: State) -> None:
    """What is on its way may linger for a while, not for ever: no connection outlives that."""
    async with served(state, GatewaySettings(linger_s=0.05)) as door:
        ann, slow = await door.connect("ann"), await door.connect("ben")
        deaf(slow)
        (held,) = door.gateway.hub.of("ben")
        while not held._paused:
            await ann.say(LARGE)
        state.kicked("ben", 5)
        assert [one.user_id for one in door.gateway.hub] == ["ann"]
        async with asyncio.timeout(10):
            while held._transport is not None:  # noqa: ASYNC110 - a connection tells nobody
                await asyncio.sleep(0.01)


async def test_a_slow_client_that_catches_up_is_forgiven(state: State) -> None:
    """What waited before counts no more; nothing that was sent meanwhile is missing."""
    async with served(state, GatewaySettings(queue_frames=8)) as door:
        ann, slow = await door.connect("ann"), await door.connect("ben")
        (held,) = door.gateway.hub.of("ben")
        transport: Any = slow.writer.transport
        sent = 0
        for _ in range(3):
            deaf(slow)
            while not held._paused:
                await ann.say(LARGE)
                sent += 1
            for _ in range(6):
                await ann.say(LARGE)
                sent += 1
            transport.resume_reading()
            while held._paused:  # noqa: ASYNC110 - a connection tells nobody
                await asyncio.sleep(0.001)
        assert [message.seq for _, message in await slow.settle()] == list(range(1, sent + 1))


async def test_a_gateway_that_stops_ends_its_connections(state: State) -> None:
    """Without a close frame; nobody is shown as connected then, and new callers find nobody."""
    async with served(state) as door:
        sockets = [await door.connect("ann"), await door.connect("ben")]
        await door.gateway.stop()
        for socket in sockets:
            assert await socket.end() == []
        assert not state.presence.connections
        with pytest.raises(ConnectionRefusedError):
            await door.raw()
