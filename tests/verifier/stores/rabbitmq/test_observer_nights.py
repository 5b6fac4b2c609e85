"""Absence proofs over RabbitMQ: what the broker's counters show of a queue that should be silent, and what they do
not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aio_pika
import pytest

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from tests.verifier.stores.nights import Nights
from tests.verifier.stores.rabbitmq.world import QUEUE, BrokerWorld, publish, read_until
from verifier.model.verdict import Verdict
from verifier.profile.relations import Queue
from verifier.proofs.absence.proof import Absence
from verifier.stores.rabbitmq.observer import QueueObserver

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]

PLAIN = Queue(name=QUEUE.name)


@contextlib.asynccontextmanager
async def _nights(broker: BrokerWorld, queue: Queue = PLAIN) -> AsyncIterator[Nights]:
    """An absence proof over a queue, its baseline taken."""
    async with broker.store() as store:
        proof = Absence(target="queue", kind="queue", operations=frozenset({"publish", "declare"}))
        observer = QueueObserver(store, queue, lag_s=0)
        # A broker that has just started does not report its process yet.
        await read_until(observer, lambda snapshot: "?" not in snapshot.continuity["broker"])
        nights = Nights(proof, observer, queue, store)
        await nights.baseline()
        yield nights


async def test_a_queue_used_and_deleted_between_two_runs_is_a_limitation(broker: BrokerWorld) -> None:
    """Only the broker's count of queues shows it, without names."""
    async with broker.channel() as channel, _nights(broker) as nights:
        before = await nights.observer.read()
        queue = await channel.declare_queue(PLAIN.name)
        await publish(channel, PLAIN.name)
        await queue.purge()
        await queue.delete(if_empty=False)
        made = before.counters["queues_deleted"]
        assert isinstance(nights.observer, QueueObserver)
        await read_until(nights.observer, lambda snapshot: snapshot.counters["queues_deleted"] > made)
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS
    assert any("this queue is one of" in text for text in judgement.coverage[0].unseen)


@pytest.mark.parametrize("way", ["dead letters", "alternate exchange"])
async def test_dead_letters_and_alternate_exchanges_are_counted(broker: BrokerWorld, way: str) -> None:
    """Dead letters of another queue, and messages that an exchange could not route, are publishes to the queue."""
    async with broker.channel() as channel:
        await channel.declare_queue(PLAIN.name, durable=True)
        if way == "dead letters":
            arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": PLAIN.name, "x-message-ttl": 1}
            await channel.declare_queue("source", arguments=arguments)
        else:
            other = await channel.declare_exchange("rest", aio_pika.ExchangeType.FANOUT)
            await (await channel.get_queue(PLAIN.name)).bind(other)
            await channel.declare_exchange("source", arguments={"alternate-exchange": "rest"})
        async with _nights(broker) as nights:
            if way == "dead letters":
                await publish(channel, "source")
            else:
                source = await channel.get_exchange("source")
                await source.publish(aio_pika.Message(b"{}"), "nowhere")
            assert isinstance(nights.observer, QueueObserver)
            await read_until(
                nights.observer,
                lambda snapshot: snapshot.counters.get("publish", 0) > 0 or '"messages": 1' in snapshot.position,
            )
            judgement = await nights.night()
    assert judgement.verdict is Verdict.VIOLATED


@pytest.mark.parametrize(("only_queue", "verdict"), [(False, Verdict.INCONCLUSIVE), (True, Verdict.VIOLATED)])
async def test_messages_that_reach_no_queue(broker: BrokerWorld, only_queue: bool, verdict: Verdict) -> None:
    """A publisher still uses the exchange of the unbound queue. Its routing keys are unknown, unless the exchange is for this
    queue alone. It stays so until a baseline is taken."""
    async with broker.channel() as channel:
        front = await channel.declare_exchange("front", aio_pika.ExchangeType.TOPIC)
        await (await channel.declare_queue("other")).bind(front, "other")
        async with _nights(broker, Queue(name=PLAIN.name, exchange="front", only_queue=only_queue)) as nights:
            before = await nights.observer.read()
            await front.publish(aio_pika.Message(b"{}"), PLAIN.name, mandatory=False)
            assert isinstance(nights.observer, QueueObserver)
            await read_until(
                nights.observer,
                lambda snapshot: (
                    snapshot.counters.get("exchange_in", 0) > 0
                    and snapshot.counters["unroutable"] > before.counters["unroutable"]
                ),
            )
            judgements = [await nights.night(), await nights.night()]
    assert [judgement.verdict for judgement in judgements] == [verdict] * 2
    if not only_queue:
        assert "of 1 more messages that exchange front took, at least 1 reached no queue" in judgements[1].reason
        assert "verifier baseline --only" in judgements[1].reason


async def test_a_busy_exchange_of_others_is_no_hint(broker: BrokerWorld) -> None:
    """Messages that reach other queues are not for the gone one, however many there are."""
    async with broker.channel() as channel:
        front = await channel.declare_exchange("front", aio_pika.ExchangeType.TOPIC)
        await (await channel.declare_queue("other")).bind(front, "other")
        async with _nights(broker, Queue(name=PLAIN.name, exchange="front")) as nights:
            for _ in range(5):
                await front.publish(aio_pika.Message(b"{}"), "other")
            assert isinstance(nights.observer, QueueObserver)
            await read_until(nights.observer, lambda snapshot: snapshot.counters.get("exchange_out", 0) == 5)
            judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS


async def test_an_exclusive_queue_exists(broker: BrokerWorld) -> None:
    """Other connections cannot use it, and it exists all the same."""
    async with _nights(broker) as nights, broker.channel() as channel:
        await channel.declare_queue(PLAIN.name, exclusive=True)
        judgement = await nights.night()
    assert judgement.verdict is Verdict.VIOLATED


async def test_the_same_name_in_another_vhost_is_another_queue(broker: BrokerWorld) -> None:
    """It moves no counter of the judged queue; the inventory of all vhosts (MQ-01) lists it."""
    async with _nights(broker) as nights:
        broker.manage("PUT", "/vhosts/absence-shadow")
        try:
            judgement = await nights.night()
        finally:
            broker.manage("DELETE", "/vhosts/absence-shadow")
    assert judgement.verdict is Verdict.HOLDS
