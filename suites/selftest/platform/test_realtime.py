"""Realtime delivery and pushes: there in `mixed` mode, gone in `frozen`, back after a rollback of the mode."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import UUID

import aio_pika
import anyio
import pytest

from fixtures.clients.gateway import Gateway, GatewayError
from fixtures.clients.legacy_ws import ConnectionRefusedByService, LegacyWebSocket
from fixtures.clients.platform_admin import PlatformAdmin
from fixtures.platform.keys import NOTIFICATION_CHANNEL
from fixtures.platform.schema.broker import CHAT_QUEUE
from fixtures.stack import Stack
from fixtures.world import WorldConfig
from suites.selftest.platform.conftest import sign_up
from suites.selftest.platform.looking import Looking

pytestmark = pytest.mark.anyio

DEADLINE_S = 5


@pytest.fixture(scope="module")
def config(stack: Stack) -> Iterator[WorldConfig]:
    """A world of this module's own: its mode is switched."""
    with stack.new_world() as world:
        yield world.config


@pytest.fixture(autouse=True)
async def _mixed_again(admin: PlatformAdmin) -> AsyncIterator[None]:
    """Whatever a test did, the next one finds the platform in mixed mode."""
    yield
    await admin.set_mode("mixed")


async def until(condition: Callable[[], Awaitable[object]]) -> object:
    """Poll a condition until it is true."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := await condition():
            return found
        await anyio.sleep(0.05)
    raise AssertionError(f"{condition} did not come true within {DEADLINE_S} s")


async def queue_exists(config: WorldConfig) -> bool:
    """Whether the chat queue is declared."""
    connection = await aio_pika.connect(config.platform.amqp)
    async with connection:
        channel = await connection.channel()
        try:
            await channel.declare_queue(CHAT_QUEUE, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True


async def test_message_reaches_a_connected_user(config: WorldConfig, gateway: Gateway, stores: Looking) -> None:
    """A connected user is present and gets the notice; after leaving, no presence key remains."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    ref = await alice.open_chat(bob.user_id)
    key = f"presence:{bob.user_id}"
    async with LegacyWebSocket(config.websocket, bob.session_id) as socket:
        await until(lambda: stores.redis.exists(key))
        assert 0 < await stores.redis.ttl(key) <= 60
        sent = await alice.send(ref, "there?")
        notice = await socket.receive(deadline_s=DEADLINE_S)
        assert notice is not None
        assert (notice["message_id"], notice["seq"]) == (sent["message_id"], 1)
        assert (await alice.call("GET", f"/presence/{bob.user_id}")) == {"online": True}
    await until(lambda: _absent(stores, key))


async def _absent(stores: Looking, key: str) -> bool:
    return not await stores.redis.exists(key)


async def test_moved_chat_is_not_announced(config: WorldConfig, gateway: Gateway, admin: PlatformAdmin) -> None:
    """A message of a moved chat is neither published nor pushed by us."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    ref = await alice.open_chat(bob.user_id)
    await admin.move([UUID(ref)])
    async with LegacyWebSocket(config.websocket, bob.session_id) as socket:
        await alice.send(ref, "quiet")
        assert await socket.receive(deadline_s=0.5) is None
    assert await bob.pushes() == []


async def test_unknown_session_is_refused(config: WorldConfig) -> None:
    """Without a live session there is no connection."""
    with pytest.raises(ConnectionRefusedByService):
        async with LegacyWebSocket(config.websocket, "nobody"):
            pass


async def test_absent_user_gets_one_push(config: WorldConfig, gateway: Gateway, admin: PlatformAdmin) -> None:
    """A legacy message and an alert arrive once each; without a broker an alert says why it cannot."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    ref = await alice.open_chat(bob.user_id)
    sent = await alice.send(ref, "wake up")
    if not config.platform.amqp:
        with pytest.raises(GatewayError, match="no broker"):
            await admin.alert(bob.user_id, "new device")
        assert await bob.pushes() == []
        return
    await admin.alert(bob.user_id, "new device")

    async def both() -> bool:
        return len(await bob.pushes()) >= 2

    await until(both)
    pushes = {push["type"]: push for push in await bob.pushes()}
    assert len(await bob.pushes()) == 2
    assert pushes["chat_message"]["body"]["message_id"] == sent["message_id"]
    assert pushes["alert"]["body"]["text"] == "new device"


async def test_frozen_platform_is_silent(
    config: WorldConfig, gateway: Gateway, admin: PlatformAdmin, stores: Looking
) -> None:
    """Frozen: connections end and are refused, nobody subscribes, nothing is announced, the queue can go for good."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    support = await alice.open_support()
    async with LegacyWebSocket(config.websocket, bob.session_id) as socket:
        await until(lambda: stores.redis.exists(f"presence:{bob.user_id}"))
        await admin.set_mode("frozen")
        assert await socket.receive(deadline_s=DEADLINE_S) is None
    assert [key async for key in stores.redis.scan_iter("presence:*")] == []
    with pytest.raises(ConnectionRefusedByService):
        async with LegacyWebSocket(config.websocket, bob.session_id):
            pass
    ((_, subscribers),) = await stores.redis.pubsub_numsub(NOTIFICATION_CHANNEL)
    assert subscribers == 0
    async with stores.redis.pubsub(ignore_subscribe_messages=True) as tap:
        await tap.subscribe(NOTIFICATION_CHANNEL)
        await tap.get_message(timeout=DEADLINE_S)
        assert (await alice.send(support, "still here"))["home"] == "legacy"
        assert await tap.get_message(timeout=0.3) is None
    born = await alice.open_chat(bob.user_id)
    assert born.startswith("si_")
    assert (await alice.send(born, "hello there"))["home"] == "openim"
    group_ref, group_chat = await alice.create_group("Born there", [bob.user_id])
    assert (await bob.send(group_chat, "hi all"))["home"] == "openim"
    rows = await stores.chat_rows("SELECT * FROM group_extensions WHERE openim_group_id = %(id)s", id=group_ref)
    assert [row["legacy_group_id"] for row in rows] == [None]
    assert [push for push in await bob.pushes() if push["type"] == "chat_message"] == []
    if config.platform.amqp:
        assert await queue_exists(config)
        await admin.decommission()
        assert not await queue_exists(config)


async def test_decommission_needs_the_freeze(admin: PlatformAdmin) -> None:
    """The chat queue cannot be deleted while it is in use."""
    with pytest.raises(GatewayError, match="409"):
        await admin.decommission()
