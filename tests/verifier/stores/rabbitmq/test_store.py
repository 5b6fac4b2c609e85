"""The RabbitMQ store on a live broker: what it lists, what it admits not to see, what it never does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock
from urllib.parse import urlsplit

import aio_pika
import pytest
from pydantic import SecretStr

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from fixtures.stack.ports import claim_port, release_port
from tests.verifier.stores.broker_world import BrokerWorld, publish, until
from verifier.profile.relations import Queue
from verifier.stores.errors import Denied, Missing, StoreError, Unreachable
from verifier.stores.protocols import StoreObject
from verifier.stores.rabbitmq.listing import KINDS

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]


def names(found: Any, vhost: str) -> set[str]:
    """Names of what lies in a vhost."""
    return {item.name for item in found if item.attributes.get("vhost") == vhost and item.kind != "unreadable"}


def one(found: Any, name: str) -> StoreObject:
    """The only object of a name."""
    (item,) = (item for item in found if item.name == name)
    assert isinstance(item, StoreObject)
    return item


async def test_clock_and_version(broker: BrokerWorld) -> None:
    """The broker's time, to half a second, and its product."""
    async with broker.store() as store:
        assert abs(datetime.now(UTC) - await store.clock()) < timedelta(seconds=2)
        assert (await store.version()).startswith("RabbitMQ 3.")


async def test_listing(broker: BrokerWorld) -> None:
    """Queues, exchanges, bindings, consumers and policies with what checks need of them."""
    vhost = broker.vhost
    broker.manage(
        "PUT",
        f"/policies/{vhost}/dead",
        {"pattern": "^a", "definition": {"dead-letter-exchange": "chat"}, "apply-to": "queues"},
    )
    async with broker.store() as store, broker.channel() as channel:
        exchange = await channel.declare_exchange("chat", aio_pika.ExchangeType.TOPIC)
        queue = await channel.declare_queue("chat.message.notify", durable=True)
        dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "chat.message.notify"}
        await channel.declare_queue("other", arguments=dead_letters)
        await queue.bind(exchange, "chat.#")
        await queue.consume(AsyncMock())
        await until(lambda: store.listing("consumers"), lambda seen: any(item.kind == "consumer" for item in seen))
        found = {kind: await store.listing(kind) for kind in KINDS}
        assert await store.passive_queue(vhost, "chat.message.notify") == "present"
        with pytest.raises(ValueError, match="lists vhosts, queues"):
            await store.listing("connections")
    declared = one(found["queues"], f"chat.message.notify@{vhost}").attributes
    assert (declared["name"], declared["vhost"], declared["messages"] or 0) == ("chat.message.notify", vhost, 0)
    assert one(found["queues"], f"other@{vhost}").attributes["arguments"] == dead_letters
    assert f"chat@{vhost}" in names(found["exchanges"], vhost)
    bound = one(found["bindings"], f"chat -> chat.message.notify [chat.#]@{vhost}").attributes
    assert (bound["source"], bound["queue"]) == ("chat", "chat.message.notify")
    assert one(found["bindings"], f"(default) -> other [other]@{vhost}").attributes["source"] == ""
    assert {item.attributes["queue"] for item in found["consumers"] if item.kind == "consumer"} == {
        "chat.message.notify"
    }
    policy = one(found["policies"], f"dead@{vhost}").attributes
    assert policy["definition"] == {"dead-letter-exchange": "chat"}


async def test_more_queues_than_a_page(broker: BrokerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are read to the last."""
    monkeypatch.setattr("verifier.stores.rabbitmq.listing.PAGE_SIZE", 2)
    async with broker.store() as store, broker.channel() as channel:
        for number in range(5):
            await channel.declare_queue(f"q{number}")
        assert names(await store.listing("queues"), broker.vhost) == {
            f"q{number}@{broker.vhost}" for number in range(5)
        }


async def test_a_vhost_that_cannot_be_looked_into_is_named(broker: BrokerWorld) -> None:
    """The broker lists vhosts that a user may not read; some pages are then silently empty."""
    broker.manage("PUT", f"/vhosts/{broker.vhost}-shadow")
    try:
        async with broker.store() as store:
            for kind in KINDS:
                hidden = one(await store.listing(kind), f"vhost {broker.vhost}-shadow")
                assert hidden.kind == "unreadable", kind
                assert "set_permissions" in hidden.attributes["reason"]
                assert hidden.attributes["vhost"] == f"{broker.vhost}-shadow"
    finally:
        broker.manage("DELETE", f"/vhosts/{broker.vhost}-shadow")


async def test_parameters_are_no_blindness_without_their_plugins(broker: BrokerWorld) -> None:
    """The monitoring user may not read parameters; where no plugin uses any, nothing is hidden."""
    async with broker.store() as store:
        found = await store.listing("parameters")
    assert not [item for item in found if not item.name.startswith("vhost ")]


async def test_passive_declare(broker: BrokerWorld) -> None:
    """Absent, present, exclusive (403 and 404 are not the only refusals), unknown; and nothing is created by asking."""
    async with broker.store() as store, broker.channel() as channel:
        await channel.declare_queue("mine", exclusive=True)
        await channel.declare_queue("shared")
        states = {name: await store.passive_queue(broker.vhost, name) for name in ("mine", "shared", "neither")}
        assert states == {"mine": "exclusive", "shared": "present", "neither": "absent"}
        assert await store.passive_queue("no-such-vhost", "shared") == "unknown"
        assert names(await store.listing("queues"), broker.vhost) == {f"mine@{broker.vhost}", f"shared@{broker.vhost}"}
    async with broker.store(amqp_url=None) as store:
        assert await store.passive_queue(broker.vhost, "shared") == "unknown"


async def test_privileges(broker: BrokerWorld) -> None:
    """A monitoring user is fine as far as can be told, an administrator is too much, one without a tag too little."""
    async with broker.store() as store:
        assert [item.state for item in await store.privileges()] == ["unknown"]
    async with broker.store(management_url=SecretStr(broker.grant.admin_management)) as store:
        found = {item.what: item for item in await store.privileges()}
    assert {item.state for item in found.values()} == {"too_many"}
    assert f"configure '.*' in {broker.vhost}" in found["permissions in the vhosts"].detail
    user = urlsplit(broker.grant.verifier_management).username
    broker.manage("PUT", f"/users/{user}", {"password": "p", "tags": "management"})
    login = broker.grant.verifier_management.replace(urlsplit(broker.grant.verifier_management).password or "", "p")
    async with broker.store(management_url=SecretStr(login)) as store:
        assert {item.what: item.state for item in await store.privileges()}["tag monitoring"] == "missing"


async def test_wrong_password(broker: BrokerWorld) -> None:
    """The role is named, the password is not."""
    url = urlsplit(broker.grant.verifier_management)
    wrong = f"http://{url.username}:not-the-password@{url.hostname}:{url.port}"
    with pytest.raises(Denied, match=r"roles\.broker\.management_url") as caught:
        async with broker.store(management_url=SecretStr(wrong)):
            pass
    assert "not-the-password" not in str(caught.value)


async def test_nobody_there(broker: BrokerWorld) -> None:
    """No management API, or none at all."""
    port = claim_port()
    with pytest.raises(Unreachable, match="management plugin enabled"):
        async with broker.store(management_url=SecretStr(f"http://a:b@127.0.0.1:{port}")):
            pass
    release_port(port)
    amqp = urlsplit(broker.grant.verifier_amqp)
    with pytest.raises(StoreError, match=r"roles\.broker\.management_url"):
        async with broker.store(management_url=SecretStr(f"http://a:b@127.0.0.1:{amqp.port}")):
            pass


class TestTap:
    """The operator's tap queue: the only queue that is ever consumed from."""

    QUEUE = Queue(name="verifier.tap")

    async def test_messages_are_read_once_and_remembered(self, broker: BrokerWorld) -> None:
        """Each message comes once from the queue; the second look of a check finds it in memory."""
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

    async def test_a_tap_that_is_not_there(self, broker: BrokerWorld) -> None:
        """It is the operator's to declare; the verifier does not."""
        async with broker.store() as store:
            with pytest.raises(Missing, match="operator declares"):
                [row async for chunk in store.tap(self.QUEUE).chunks() for row in chunk]
            assert names(await store.listing("queues"), broker.vhost) == set()

    async def test_a_tap_that_may_not_be_read(self, broker: BrokerWorld) -> None:
        """The one permission that it needs is named."""
        async with broker.channel() as channel, broker.store() as store:
            await channel.declare_queue("verifier.tap")
            with pytest.raises(Denied, match=r"read '\^verifier\.tap\$'"):
                [row async for chunk in store.tap(self.QUEUE).chunks() for row in chunk]

    async def test_a_flood_is_bounded(self, broker: BrokerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        """What exceeds the bound stays in the queue."""
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
