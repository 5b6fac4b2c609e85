"""MQ-04 over a live tap queue, night after night."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from fixtures.stack.stack import Stack
from tests.verifier.proofs.world import World
from tests.verifier.stores.rabbitmq.world import BrokerWorld, open_broker_world, publish
from verifier.checks.broker import push_is_not_chat
from verifier.model.verdict import Judgement, Verdict
from verifier.profile import parse_profile
from verifier.proofs import Rule

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]

PROFILE = parse_profile(
    """
    stack = "s"
    phase = "baseline"
    [timing]
    settle_s = 0
    [roles.broker]
    management_url = "http://u:p@mq"
    [queues.notification_push]
    name = "push"
    [queues.push_tap]
    name = "tap"
    """
)
TAP = "broker.push_tap"


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


@pytest.fixture
def broker(stack: Stack) -> Iterator[BrokerWorld]:
    """An empty vhost of the shared broker."""
    with open_broker_world(stack.rabbitmq) as world:
        yield world


def _rule() -> Rule:
    found = push_is_not_chat(PROFILE)
    assert isinstance(found, list)
    assert isinstance(found[0], Rule)
    return found[0]


class _Nights:
    """Runs of MQ-04's proof over the tap, each with a store of its own and the memory of the earlier ones."""

    def __init__(self, broker: BrokerWorld) -> None:
        self.broker = broker
        self.world = World(PROFILE)

    async def night(self, *, baselining: bool = False) -> Judgement:
        """One run."""
        async with self.broker.store() as store:
            self.world.tables[TAP] = store.tap(PROFILE.queue("push_tap"), PROFILE.queue("notification_push"))
            return await self.world.run(_rule(), baselining=baselining)


async def _opened(broker: BrokerWorld, channel: Any) -> None:
    """A push queue and a tap that is bound alike."""
    broker.let_read("tap")
    exchange = await channel.declare_exchange("notification", "topic")
    for name in ("push", "tap"):
        await (await channel.declare_queue(name)).bind(exchange, "push")


async def _push(channel: Any, *bodies: Any) -> None:
    for body in bodies:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await publish(channel, "tap", raw)


CHAT = {"type": "alert", "data": {"conversationId": "c", "text": "hello"}}


async def test_what_the_tap_showed_stays(broker: BrokerWorld) -> None:
    """Reading empties the tap. The breach stays one in the nights after, until a baseline accepts it."""
    async with broker.channel() as channel:
        await _opened(broker, channel)
        nights = _Nights(broker)
        await _push(channel, CHAT)
        first = await nights.night()
        second = await nights.night()
        await _push(channel, {"type": "otp"})
        third = await nights.night()
        await nights.night(baselining=True)
        fourth = await nights.night()
        await _push(channel, {"type": "otp"})
        fifth = await nights.night()
    assert [item.verdict for item in (first, second, third)] == [Verdict.VIOLATED] * 3
    assert len({item.findings[0].fingerprint for item in (first, second, third)}) == 1
    assert "with data.conversationId" in third.findings[0].summary
    assert (fourth.verdict, fifth.verdict) == (Verdict.NOT_APPLICABLE, Verdict.HOLDS)


@pytest.mark.parametrize(
    ("pushes", "verdict"),
    [
        ([{"type": "otp"}, {"type": "alert", "text": "conversation_id"}], Verdict.HOLDS),
        ([[{"type": "otp"}, {"type": "otp"}]], Verdict.HOLDS),
        ([json.dumps({"type": "otp"})], Verdict.HOLDS),
        ([[{"type": "otp"}, {"type": "chat"}]], Verdict.VIOLATED),
        ([{"type": "chat"}], Verdict.VIOLATED),
        ([{"text": "no type"}], Verdict.VIOLATED),
        ([b"\x81\xa4type\xa3otp"], Verdict.INCONCLUSIVE),
        ([{"type": "otp"}, b"plain text"], Verdict.INCONCLUSIVE),
        ([b"plain text", CHAT], Verdict.VIOLATED),
    ],
)
async def test_content(broker: BrokerWorld, pushes: list[Any], verdict: Verdict) -> None:
    """What is readable is judged; what is not leaves the check without an answer, and hides no breach."""
    async with broker.channel() as channel:
        await _opened(broker, channel)
        await _push(channel, *pushes)
        judgement = await _Nights(broker).night()
    assert judgement.verdict is verdict, judgement.reason
    if verdict is Verdict.INCONCLUSIVE:
        assert "could not be read" in judgement.reason


async def test_a_tap_that_misses_pushes_proves_nothing(broker: BrokerWorld) -> None:
    """It is bound otherwise than the push queue."""
    async with broker.channel() as channel:
        await _opened(broker, channel)
        await (await channel.get_queue("push")).bind("notification", "urgent.#")
        await _push(channel, {"type": "otp"})
        judgement = await _Nights(broker).night()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "tap does not get all that exchange notification sends to push by [urgent.#]" in judgement.reason
