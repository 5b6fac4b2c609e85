"""The operator's tap queue on a live broker."""

from __future__ import annotations

import pytest

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from tests.verifier.stores.rabbitmq.world import BrokerWorld, names, publish
from verifier.profile.relations import Queue
from verifier.stores.errors import Denied, Missing

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]


class TestTap:
    """The operator's tap queue, the only queue that the verifier consumes from."""

    QUEUE = Queue(name="verifier.tap")

    async def test_messages_are_read_once_and_remembered(self, broker: BrokerWorld) -> None:
        """Each message comes from the queue once; the second pass of a check finds it in memory."""
        broker.let_read("verifier.tap")
        async with broker.channel() as channel, broker.store() as store:
            queue = await channel.declare_queue("verifier.tap")
            await publish(channel, "verifier.tap", b'{"type": "otp"}', message_id="m1")
            await publish(channel, "verifier.tap", b"\xff not JSON")
            source = store.tap(self.QUEUE)
            rows = [row async for chunk in source.chunks() for row in chunk]
            assert [row["body"] for row in rows] == [{"type": "otp"}, "\\xff not JSON"]
            assert (rows[0]["delivery"], rows[0]["routing_key"]) == ("m1", "verifier.tap")
            assert (await queue.declare()).message_count == 0
            await publish(channel, "verifier.tap", b'{"type": "alert"}', message_id="m2")
            again = [row["delivery"] async for chunk in store.tap(self.QUEUE).chunks() for row in chunk]
            assert again == ["m1", rows[1]["delivery"], "m2"]
            assert [row["body"] for row in await source.lookup("delivery", ["m2"])] == [{"type": "alert"}]

    async def test_a_missing_tap_is_an_error(self, broker: BrokerWorld) -> None:
        """The operator declares the queue; the verifier does not."""
        async with broker.store() as store:
            with pytest.raises(Missing, match="operator declares"):
                [row async for chunk in store.tap(self.QUEUE).chunks() for row in chunk]
            assert names(await store.listing("queues"), broker.vhost) == set()

    async def test_a_tap_without_permission_is_denied(self, broker: BrokerWorld) -> None:
        """The error names the one permission that is needed."""
        async with broker.channel() as channel, broker.store() as store:
            await channel.declare_queue("verifier.tap")
            with pytest.raises(Denied, match=r"read '\^verifier\.tap\$'"):
                [row async for chunk in store.tap(self.QUEUE).chunks() for row in chunk]

    async def test_the_number_of_messages_is_bounded(
        self, broker: BrokerWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Messages beyond the bound stay in the queue."""
        monkeypatch.setattr("verifier.stores.rabbitmq.source.TAP_MESSAGES_MAX", 5)
        broker.let_read("verifier.tap")
        async with broker.channel() as channel, broker.store() as store:
            queue = await channel.declare_queue("verifier.tap")
            for number in range(8):
                await publish(channel, "verifier.tap", str(number).encode())
            rows = [row async for chunk in store.tap(self.QUEUE).chunks() for row in chunk]
            assert [row["body"] for row in rows] == [0, 1, 2, 3, 4]
        async with broker.channel() as channel:
            assert (await channel.declare_queue("verifier.tap", passive=True)).declaration_result.message_count == 3
        assert queue is not None
