"""The operator's tap queue on a live broker."""

from __future__ import annotations

import gzip

import pytest

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from tests.verifier.stores.rabbitmq.world import BrokerWorld, names, publish
from verifier.profile.relations import Queue
from verifier.stores.errors import Denied, Missing, StoreError

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
        broker.let_read("verifier.tap")
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

    async def test_two_messages_with_one_id_are_two_rows(self, broker: BrokerWorld) -> None:
        """A publisher that numbers its messages badly hides none of them; a repetition is one row."""
        broker.let_read("verifier.tap")
        async with broker.channel() as channel, broker.store() as store:
            await channel.declare_queue("verifier.tap")
            for body in (b'{"type": "chat"}', b'{"type": "otp"}', b'{"type": "otp"}'):
                await publish(channel, "verifier.tap", body, message_id="same")
            source = store.tap(self.QUEUE)
            rows = [row async for chunk in source.chunks() for row in chunk]
            found = await source.lookup("delivery", [row["delivery"] for row in rows])
        assert [row["type"] for row in found] == ["chat", "otp"]

    async def test_headers_and_properties_are_read(self, broker: BrokerWorld) -> None:
        """Compressed bodies, forms, the type of the message itself, and fields in headers."""
        broker.let_read("verifier.tap")
        async with broker.channel() as channel, broker.store() as store:
            await channel.declare_queue("verifier.tap")
            packed = gzip.compress(b'{"type": "otp", "data": {"seq": 4}}')
            await publish(channel, "verifier.tap", packed, content_encoding="gzip")
            await publish(channel, "verifier.tap", packed)
            await publish(
                channel, "verifier.tap", b"{}", type="chat", headers={"conversation-id": "c", "x": {"y": ["1"]}}
            )
            form = "application/x-www-form-urlencoded; charset=utf-8"
            await publish(channel, "verifier.tap", b"type=otp&conversation_id=c", content_type=form)
            rows = [row async for chunk in store.tap(self.QUEUE).chunks() for row in chunk]
        assert [(row["type"], row["unread"]) for row in rows] == [("otp", ""), ("otp", ""), ("chat", ""), ("otp", "")]
        assert [["data", "seq"] in row["fields"] for row in rows] == [True, True, False, False]
        assert [["conversation-id"] in row["fields"] for row in rows] == [False, False, True, False]
        assert ["conversation_id"] in rows[3]["fields"]

    async def test_what_is_not_read_is_said(self, broker: BrokerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        """Bodies in other formats, and messages that are left in the queue."""
        monkeypatch.setattr("verifier.stores.rabbitmq.source.TAP_MESSAGES_MAX", 2)
        broker.let_read("verifier.tap")
        async with broker.channel() as channel, broker.store() as store:
            await channel.declare_queue("verifier.tap", arguments={"x-max-length": 100})
            await publish(channel, "verifier.tap", b"\x0a\x04chat", content_type="application/x-protobuf")
            await publish(channel, "verifier.tap", gzip.compress(b"{}")[:-9], content_encoding="gzip")
            for _ in range(3):
                await publish(channel, "verifier.tap", b"{}")
            source = store.tap(self.QUEUE)
            assert len([row async for chunk in source.chunks() for row in chunk]) == 2
            found = await source.completeness()
        assert found.hidden[0].startswith(
            "the content of 2 messages could not be read (1 application/x-protobuf, not JSON, 1 "
        )
        assert found.hidden[1].startswith("3 messages are left in verifier.tap")
        assert any("it has max-length" in text for text in found.unseen)

    @pytest.mark.parametrize(
        ("push_key", "tap_key", "missed"),
        [
            ("push", "push", []),
            ("push.#", "#", []),
            ("push.#", "push.*", ["does not get all that exchange notification sends to push by [push.#]"]),
            ("push", None, ["does not get all that exchange notification sends to push by [push]"]),
            (None, "push", ["push is bound to no exchange"]),
        ],
    )
    async def test_a_tap_that_is_bound_otherwise(
        self, broker: BrokerWorld, push_key: str | None, tap_key: str | None, missed: list[str]
    ) -> None:
        """What the push queue gets and the tap does not is hidden."""
        broker.let_read("verifier.tap")
        async with broker.channel() as channel, broker.store() as store:
            exchange = await channel.declare_exchange("notification", "topic")
            for name, key in (("push", push_key), ("verifier.tap", tap_key)):
                queue = await channel.declare_queue(name)
                if key is not None:
                    await queue.bind(exchange, key)
            found = await store.tap(self.QUEUE, Queue(name="push")).completeness()
        assert [text in hidden for text, hidden in zip(missed, found.hidden, strict=True)] == [True] * len(missed)

    async def test_a_name_beyond_ascii_is_an_error(self, broker: BrokerWorld) -> None:
        """The AMQP driver cannot send it; a passive declare is then unknown."""
        async with broker.store() as store:
            with pytest.raises(StoreError, match="cannot name the tap queue"):
                [row async for chunk in store.tap(Queue(name="päckchen")).chunks() for row in chunk]
            assert (await store.passive_declare(broker.vhost, "päckchen")).state == "unknown"
