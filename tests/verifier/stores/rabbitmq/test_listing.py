"""The inventory of a live broker."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

import aio_pika
import pytest

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from tests.verifier.stores.rabbitmq.world import BrokerWorld, names, until
from verifier.stores.protocols import StoreObject
from verifier.stores.rabbitmq.listing import KINDS

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]


def one(found: Any, name: str) -> StoreObject:
    """The only object of a name."""
    (item,) = (item for item in found if item.name == name)
    assert isinstance(item, StoreObject)
    return item


async def test_listing(broker: BrokerWorld) -> None:
    """Queues, exchanges, bindings, consumers and policies have the attributes that checks need."""
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
        assert (await store.passive_declare(vhost, "chat.message.notify")).state == "present"
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
    """All pages are read."""
    monkeypatch.setattr("verifier.stores.rabbitmq.listing.PAGE_SIZE", 2)
    async with broker.store() as store, broker.channel() as channel:
        for number in range(5):
            await channel.declare_queue(f"q{number}")
        assert names(await store.listing("queues"), broker.vhost) == {
            f"q{number}@{broker.vhost}" for number in range(5)
        }


async def test_an_unreadable_vhost_is_listed(broker: BrokerWorld) -> None:
    """The broker lists vhosts that a user may not read, and some of their pages are empty."""
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


async def test_parameters_need_no_tag_without_their_plugins(broker: BrokerWorld) -> None:
    """The monitoring user may not read parameters; where no plugin uses them, nothing is unreadable."""
    async with broker.store() as store:
        found = await store.listing("parameters")
    assert not [item for item in found if not item.name.startswith("vhost ")]
