"""The queue observer finds publishes, also of messages that were consumed at once, and queues that were declared
again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import pytest
from pydantic import SecretStr

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from tests.verifier.stores.rabbitmq.world import QUEUE, BrokerWorld, publish, read_until, witnessed
from verifier.profile.budgets import StoreBudget
from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole
from verifier.stores.budget import Budget
from verifier.stores.errors import ContinuityLost, Denied, Missing, StoreError
from verifier.stores.protocols import CounterSnapshot
from verifier.stores.rabbitmq.observer import QueueObserver
from verifier.stores.rabbitmq.store import RabbitMQStore

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]


def counted(number: int) -> Any:
    """The first snapshot with this publish counter."""
    return lambda snapshot: snapshot.counters.get("publish") == number


async def test_a_drained_queue_has_its_counter(broker: BrokerWorld) -> None:
    """A queue that is emptied as fast as it fills looks empty; its counter shows the publishes."""
    async with broker.channel() as channel, broker.store() as store:
        queue = await channel.declare_queue(QUEUE.name, durable=True)
        await publish(channel, QUEUE.name)
        await queue.purge()
        observer = QueueObserver(store, QUEUE, lag_s=0)
        before = await read_until(observer, counted(1))
        for _ in range(3):
            await publish(channel, QUEUE.name)
        await queue.purge()
        now = await read_until(observer, counted(4))
        assert now.continuity == before.continuity
        assert json.loads(now.position)["messages"] == 0
        assert await witnessed(observer, before, now) == []  # the counter shows it


async def test_a_settled_snapshot_waits_for_the_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A baseline that is taken too early would make late counts a finding. Publishes to other queues do not delay
    it."""
    publishes = iter([0, 1, 2, 2, 3])
    others = iter(range(100))

    async def read(_: QueueObserver) -> CounterSnapshot:
        return replace(snapshot(), counters={"publish": next(publishes), "unroutable": next(others)})

    monkeypatch.setattr(QueueObserver, "_read", read)
    assert (await observer_without_broker(lag_s=0.001).read(settled=True)).counters["publish"] == 2


async def test_waiting_messages_are_seen_at_once(broker: BrokerWorld) -> None:
    """AMQP shows waiting messages seconds before the statistics do."""
    async with broker.channel() as channel, broker.store() as store:
        await channel.declare_queue(QUEUE.name)
        observer = QueueObserver(store, QUEUE, lag_s=0)
        before = await observer.read()
        await publish(channel, QUEUE.name)
        now = await observer.read()
        assert (now.counters["publish"], await witnessed(observer, before, now)) in [
            (0, [("publish", "it has 1 messages, and had 0 before")]),
            (1, []),
        ]


async def test_unroutable_messages_of_a_dedicated_exchange(broker: BrokerWorld) -> None:
    """The queue is gone and something still publishes to its exchange: a hint, because the routing key is unknown."""
    async with broker.channel() as channel, broker.store() as store:
        exchange = await channel.declare_exchange("chat", aio_pika.ExchangeType.TOPIC)
        await channel.default_exchange.publish(aio_pika.Message(b""), "nobody", mandatory=False)
        observer = QueueObserver(store, QUEUE, lag_s=0)
        before = await observer.read()
        assert "publish" not in before.counters
        await exchange.publish(aio_pika.Message(b""), QUEUE.name, mandatory=False)
        now = await read_until(
            observer,
            lambda snapshot: (
                snapshot.counters.get("exchange_in") == 1
                and snapshot.counters["unroutable"] > before.counters["unroutable"]
            ),
        )
        assert await witnessed(observer, before, now) == [
            ("unroutable", "of 1 more messages that exchange chat took, at least 1 reached no queue")
        ]


async def test_a_shared_exchange_gives_no_witness(broker: BrokerWorld) -> None:
    """Messages of an exchange that reach another queue are for that one."""
    async with broker.channel() as channel, broker.store() as store:
        exchange = await channel.declare_exchange("chat", aio_pika.ExchangeType.TOPIC)
        await (await channel.declare_queue("other")).bind(exchange, "#")
        observer = QueueObserver(store, QUEUE, lag_s=0)
        before = await observer.read()
        await exchange.publish(aio_pika.Message(b""), QUEUE.name)
        now = await read_until(observer, lambda snapshot: snapshot.counters.get("exchange_in") == 1)
        assert await witnessed(observer, before, now) == []


async def test_a_queue_that_appears_or_disappears_is_a_witness(broker: BrokerWorld) -> None:
    """A missing queue gives a snapshot; its declaration and its deletion are witnesses."""
    async with broker.channel() as channel, broker.store() as store:
        observer = QueueObserver(store, Queue(name="q"), lag_s=0)
        absent = await observer.read()
        queue = await channel.declare_queue("q", durable=True)
        present = await observer.read()
        assert await witnessed(observer, absent, present) == [("declare", "the queue exists, and did not before")]
        await queue.delete()
        assert await witnessed(observer, present, await observer.read()) == [("delete", "the queue is gone")]
        assert await witnessed(observer, absent, await observer.read()) == []


async def test_a_queue_that_is_declared_again_is_a_witness(broker: BrokerWorld) -> None:
    """A queue that is deleted and declared again under its name has a new message sequence."""
    async with broker.channel() as channel, broker.store() as store:
        queue = await channel.declare_queue("q", durable=True)
        await publish(channel, "q")
        observer = QueueObserver(store, Queue(name="q"), lag_s=0)
        before = await read_until(observer, lambda snapshot: json.loads(snapshot.position)["sequence"] == 1)
        await queue.purge()
        await queue.delete()
        await channel.declare_queue("q", durable=True)
        now = await read_until(
            observer, lambda snapshot: snapshot.counters["queues_deleted"] > before.counters["queues_deleted"]
        )
        assert [operation for operation, _ in await witnessed(observer, before, now)] == ["declare"]


async def test_a_quorum_queue_has_counters_only(broker: BrokerWorld) -> None:
    """Other types have no message sequence; their counters work."""
    async with broker.channel() as channel, broker.store() as store:
        await channel.declare_queue("q", durable=True, arguments={"x-queue-type": "quorum"})
        observer = QueueObserver(store, Queue(name="q"), lag_s=0)
        before = await observer.read()
        await publish(channel, "q")
        now = await read_until(observer, counted(1))
        assert json.loads(now.position)["sequence"] is None
        assert now.counters["publish"] == 1
        assert await witnessed(observer, before, now) == []


async def test_an_unreadable_vhost_is_an_error(broker: BrokerWorld) -> None:
    """401 and a missing vhost are not a missing queue."""
    broker.manage("PUT", f"/vhosts/{broker.vhost}-shadow")
    try:
        async with broker.store(vhost=f"{broker.vhost}-shadow") as store:
            with pytest.raises(Denied, match="set_permissions"):
                await QueueObserver(store, QUEUE, lag_s=0).read()
    finally:
        broker.manage("DELETE", f"/vhosts/{broker.vhost}-shadow")
    administrator = SecretStr(broker.grant.admin_management)  # to a monitoring user such a vhost is only denied
    async with broker.store(vhost="no-such-vhost", management_url=administrator) as store:
        with pytest.raises(Missing, match="vhost no-such-vhost does not exist"):
            await QueueObserver(store, QUEUE, lag_s=0).read()


async def test_a_snapshot_survives_the_history(broker: BrokerWorld) -> None:
    """A snapshot is stored as JSON."""
    async with broker.channel() as channel, broker.store() as store:
        observer = QueueObserver(store, Queue(name="q"), lag_s=0)
        before = CounterSnapshot.from_json(json.loads(json.dumps((await observer.read()).to_json())))
        await channel.declare_queue("q")
        assert [operation for operation, _ in await witnessed(observer, before, await observer.read())] == ["declare"]


def observer_without_broker(lag_s: float = 0) -> QueueObserver:
    """An observer that compares snapshots and sends nothing."""
    role = BrokerRole.model_validate({"management_url": "http://127.0.0.1:1"})
    return QueueObserver(RabbitMQStore("broker", role), QUEUE, lag_s=lag_s)


def snapshot(**state: Any) -> CounterSnapshot:
    """A snapshot with some state, of a broker with one node."""
    position = {
        "present": True,
        "sequence": 3,
        "messages": 0,
        "nodes": {"rabbit@a": "2026-11-24T00:00:00+00:00"},
    } | state
    return CounterSnapshot(
        datetime(2026, 11, 24, 1, tzinfo=UTC), counters={"publish": 3}, position=json.dumps(position)
    )


@pytest.mark.parametrize(
    ("nodes", "lost"),
    [
        ({"rabbit@a": "2026-11-24T00:00:06+00:00"}, False),
        ({"rabbit@a": "2026-11-24T00:00:00+00:00", "rabbit@b": "2026-11-24T00:30:00+00:00"}, False),
        ({"rabbit@a": "2026-11-24T00:01:00+00:00"}, True),
        ({"rabbit@b": "2026-11-24T00:00:00+00:00"}, True),
    ],
)
async def test_a_restarted_node_is_lost_continuity(nodes: dict[str, str], lost: bool) -> None:
    """In a container every process id is the same; the start time decides, within the delay of the statistics."""
    observer = observer_without_broker()
    if lost:
        with pytest.raises(ContinuityLost, match="rabbit@a"):
            await witnessed(observer, snapshot(), snapshot(nodes=nodes))
    else:
        assert await witnessed(observer, snapshot(), snapshot(nodes=nodes)) == []


@pytest.mark.parametrize(
    ("now", "operations"),
    [
        ({"sequence": None}, []),
        ({"sequence": 5}, ["publish"]),
        ({"sequence": 0}, ["declare"]),
        ({"sequence": 1, "messages": 1}, ["declare", "publish"]),
        ({"messages": 2}, ["publish"]),
        ({"present": False, "sequence": None}, ["delete"]),
    ],
)
async def test_witnesses_from_the_state_of_a_queue(now: dict[str, Any], operations: list[str]) -> None:
    """With a counter that does not move. A queue whose node is down proves nothing."""
    found = await witnessed(observer_without_broker(), snapshot(), snapshot(**now))
    assert [operation for operation, _ in found] == operations


async def test_without_statistics_there_are_no_counters(broker: BrokerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limitation names the reason."""
    async with broker.store() as store:
        real = store.get_dated

        async def get_dated(path: str, **parameters: str | int) -> tuple[Any, datetime]:
            answer, at = await real(path, **parameters)
            return (answer | {"rates_mode": "none"} if path == "/api/overview" else answer), at

        monkeypatch.setattr(store, "get_dated", get_dated)
        found = await QueueObserver(store, QUEUE, lag_s=0).read()
    assert found.counters == {}
    assert "switched off" in found.limitations[0]


async def test_snapshots_may_be_concurrent(broker: BrokerWorld) -> None:
    """Several checks read at once."""
    async with broker.store() as store:
        store.budget = Budget(
            StoreBudget(max_concurrency=2), timeout_s=10, store=store.label, statement_log=store.statement_log
        )
        observer = QueueObserver(store, QUEUE, lag_s=0)
        found = await asyncio.gather(*(observer.read() for _ in range(5)))
    assert len({item.position.partition("nodes")[0] for item in found}) == 1


async def test_names_of_all_kinds(broker: BrokerWorld) -> None:
    """Dots, slashes, blanks, percent signs and letters of all alphabets lead to the object of that name."""
    vhost = f"{broker.vhost} / a..b % ü?#"
    segment = quote(vhost, safe="")
    broker.manage("PUT", f"/vhosts/{segment}")
    try:
        user = urlsplit(broker.grant.verifier_amqp).username
        broker.manage("PUT", f"/permissions/{segment}/{user}", dict.fromkeys(("configure", "write", "read"), "^$"))
        names = ["a..b", "a/b", "a/../b", "a b%", "ünï", "q?x=1#y", "-"]
        for name in names:
            broker.manage("PUT", f"/queues/{segment}/{quote(name, safe='')}", {"durable": True})
        async with broker.store(vhost=vhost) as store:
            for name in names:
                observer = QueueObserver(store, Queue(name=name, exchange="amq.topic"), lag_s=0)
                assert json.loads((await observer.read()).position)["present"], name
                expected = (
                    "unknown" if name in ("ünï", "q?x=1#y", "a b%") else "present"
                )  # what the AMQP driver can send
                assert (await store.passive_declare(vhost, name)).state == expected, name
            assert not json.loads((await QueueObserver(store, Queue(name="b"), lag_s=0).read()).position)["present"]
            listed = {
                item.attributes["name"] for item in await store.listing("queues") if item.attributes["vhost"] == vhost
            }
            with pytest.raises(StoreError, match="no path for an object"):
                await QueueObserver(store, Queue(name=".."), lag_s=0).read()
        assert listed == set(names)
    finally:
        broker.manage("DELETE", f"/vhosts/{segment}")
