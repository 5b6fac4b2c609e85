"""The simulation of routing: against declared topologies, and against a live broker."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import aio_pika
import pytest

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from tests.verifier.stores.rabbitmq.world import BrokerWorld
from verifier.stores.protocols import StoreObject
from verifier.stores.rabbitmq.routing import Route, routes
from verifier.stores.rabbitmq.topology import Topology

KEY = "chat.message.notify"


def queue(name: str, **found: Any) -> StoreObject:
    """A queue of a listing."""
    return StoreObject(kind="queue", name=name, attributes={"name": name, "vhost": "/", **found})


def exchange(name: str, kind: str = "topic", **found: Any) -> StoreObject:
    """An exchange of a listing."""
    return StoreObject(kind="exchange", name=name, attributes={"name": name, "vhost": "/", "type": kind, **found})


def binding(source: str, to: str, key: str = "", kind: str = "queue", **arguments: Any) -> StoreObject:
    """A binding of a listing."""
    attributes = {"vhost": "/", "source": source, "destination": to, "destination_type": kind, "routing_key": key}
    return StoreObject(kind="binding", name=to, attributes={**attributes, "arguments": arguments})


def policy(
    pattern: str, to: str = "all", priority: int = 0, *, operator: bool = False, **definition: Any
) -> StoreObject:
    """A policy of a listing. `definition` has `_` for `-`."""
    attributes = {
        "name": pattern,
        "vhost": "/",
        "pattern": pattern,
        "apply-to": to,
        "priority": priority,
        "operator": operator,
        "definition": {name.replace("_", "-"): value for name, value in definition.items()},
    }
    return StoreObject(kind="policy", name=pattern, attributes=attributes)


def reached(*objects: StoreObject, source: str = "chat", key: str = KEY) -> dict[str, bool]:
    """The queues that a message reaches, and whether it surely does; dead letters are left out."""
    found = routes(Topology.of("/", objects), source, key)
    return {route.queue: route.certain for route in found if not route.dead}


def dead(*objects: StoreObject, source: str = "chat") -> dict[str, Route]:
    """The ways of dead letters, by queue."""
    return {route.queue: route for route in routes(Topology.of("/", objects), source, KEY) if route.dead}


@pytest.mark.parametrize(
    ("kind", "bound", "arguments", "sure"),
    [
        ("topic", "chat.#", {}, True),
        ("topic", "metrics", {}, None),
        ("direct", KEY, {}, True),
        ("direct", "chat.#", {}, None),
        ("fanout", "anything", {}, True),
        ("x-recent-history", "", {}, True),
        ("headers", "", {}, True),
        ("headers", "", {"x-match": "any"}, None),
        ("headers", "", {"x-match": "all", "type": "chat"}, False),
        ("headers", "", {"x-match": "any-with-x", "x-kind": "chat"}, False),
        ("headers", "", {"x-match": "all", "x-kind": "chat"}, True),
        ("x-consistent-hash", "1", {}, True),
        ("x-of-a-plugin", KEY, {}, False),
    ],
)
def test_types_of_exchanges(kind: str, bound: str, arguments: dict[str, Any], sure: bool | None) -> None:
    """Surely, perhaps, or not at all."""
    found = reached(exchange("chat", kind), queue("v2"), binding("chat", "v2", bound, **arguments))
    assert found.get("v2") is sure


def test_a_delayed_exchange_routes_by_its_own_type() -> None:
    """The plugin's type holds the real one in an argument."""
    delayed = exchange("chat", "x-delayed-message", arguments={"x-delayed-type": "direct"})
    assert reached(delayed, queue("v2"), binding("chat", "v2", KEY)) == {"v2": True}


def test_a_hash_chooses_one_of_several() -> None:
    """Which one is unknown, but one of them surely gets it: an alternate exchange gets nothing."""
    hashed = exchange("chat", "x-consistent-hash", arguments={"alternate-exchange": "rest"})
    bound = [binding("chat", name, "1") for name in ("a", "b")]
    found = routes(
        Topology.of("/", [hashed, exchange("rest", "fanout"), queue("c"), binding("rest", "c"), *bound]), "chat", KEY
    )
    assert {route.queue: (route.certain, route.one_of) for route in found} == {
        "a": (False, ("a", "b")),
        "b": (False, ("a", "b")),
    }


def test_the_default_exchange_routes_by_name() -> None:
    """Only to a queue that exists."""
    assert reached(queue(KEY), source="") == {KEY: True}
    assert reached(queue("other"), source="") == {}


def test_exchanges_bound_to_each_other_end() -> None:
    """A cycle of bindings delivers once, and an exchange that does not exist delivers nothing."""
    objects = [
        exchange("chat"),
        exchange("inner", "fanout"),
        queue("v2"),
        binding("chat", "inner", "chat.#", "exchange"),
        binding("inner", "chat", "", "exchange"),
        binding("inner", "v2"),
    ]
    assert reached(*objects) == {"v2": True}
    assert reached(*objects, source="gone") == {}


@pytest.mark.parametrize("way", ["argument", "policy"])
def test_an_alternate_exchange_gets_what_nothing_else_gets(way: str) -> None:
    """It is used if no binding matches, and perhaps if it is unknown whether one does."""
    given: dict[str, Any] = {"arguments": {"alternate-exchange": "rest"}} if way == "argument" else {}
    objects = [exchange("chat", **given), exchange("rest", "fanout"), queue("all"), binding("rest", "all")]
    if way == "policy":
        objects += [
            policy("^chat$", "exchanges", alternate_exchange="rest"),
            policy(".*", "queues", alternate_exchange="no"),
        ]
    assert reached(*objects) == {"all": True}
    assert reached(*objects, queue("v2"), binding("chat", "v2", "#")) == {"v2": True}
    assert reached(*objects, queue("v2"), binding("chat", "v2", "chat.x"), key="chat.#") == {"v2": False, "all": False}


def test_a_pattern_stands_for_all_its_keys() -> None:
    """The profile may have the key of the old binding, with wildcards."""
    objects = [exchange("chat"), queue("a"), queue("b"), queue("c")]
    objects += [binding("chat", "a", "chat.#"), binding("chat", "b", "chat.metrics"), binding("chat", "c", "push.#")]
    assert reached(*objects, key="chat.*") == {"a": True, "b": False}


@pytest.mark.parametrize(
    ("arguments", "consumers", "within_ms", "swallows"),
    [
        ({"x-message-ttl": 0}, 3, 0, True),
        ({"x-max-length": 0}, 0, 0, True),
        ({"x-message-ttl": 1000}, 0, 1000, True),
        ({"x-message-ttl": 1000}, 1, None, False),
        ({"x-message-ttl": 86_400_000}, 0, 86_400_000, False),
        ({"x-max-length": 0, "x-overflow": "reject-publish"}, 0, None, False),
        ({}, 0, None, False),
    ],
)
def test_dead_letters(arguments: dict[str, Any], consumers: int, within_ms: int | None, swallows: bool) -> None:
    """A queue that gives its messages away at once swallows them; others do so only if something goes wrong."""
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "shadow", **arguments}
    found = dead(
        exchange("chat"),
        queue("v2", arguments=letters, consumers=consumers),
        queue("shadow"),
        binding("chat", "v2", "#"),
    )
    assert (found["shadow"].within_ms, found["shadow"].swallows) == (within_ms, swallows)


def test_dead_letters_by_policies() -> None:
    """An argument wins over a policy, the policy of the highest priority is in force, an operator's is added, and what the
    broker itself says is in force counts first."""
    objects = [
        exchange("dead", "fanout"),
        queue("shadow"),
        binding("dead", "shadow"),
        exchange("chat"),
        binding("chat", "v2", "#"),
    ]
    low = policy("v2", "queues", 1, dead_letter_exchange="nowhere")
    high = policy("^v", "queues", 2, dead_letter_exchange="dead")
    limit = policy("v2", "queues", operator=True, message_ttl=0)
    assert dead(*objects, queue("v2"), low, high, limit)["shadow"].swallows
    assert not dead(*objects, queue("v2"), low, high)["shadow"].swallows
    assert "shadow" not in dead(*objects, queue("v2", arguments={"x-dead-letter-exchange": "nowhere"}), high, limit)
    in_force = {"dead-letter-exchange": "dead", "message-ttl": 0}
    assert dead(*objects, queue("v2", effective_policy_definition=in_force), low)["shadow"].swallows
    assert not dead(
        *objects,
        queue("v2"),
        policy("v2", "exchanges", dead_letter_exchange="dead"),
        policy("(", dead_letter_exchange="dead"),
    )


def test_dead_letters_go_round() -> None:
    """A retry loop ends."""
    back = {"x-dead-letter-exchange": "chat", "x-message-ttl": 0}
    assert set(dead(exchange("chat"), queue("v2", arguments=back), binding("chat", "v2", "#"))) == {"v2"}


@pytest.mark.anyio
@pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)
async def test_a_live_broker_routes_alike(broker: BrokerWorld) -> None:
    """Every message arrives in exactly the queues that the simulation names, whatever leads there."""
    keys = ["", "chat", KEY, "chat.x", "metrics", "direct", "x.direct", "lost", "hop", "fan", "dlx", "a..b"]
    every = {"pattern": "^by-policy$", "definition": {"alternate-exchange": "rest"}, "apply-to": "exchanges"}
    broker.manage("PUT", f"/policies/{broker.vhost}/alternate", every)
    async with broker.channel() as channel, broker.store() as store:
        kinds = aio_pika.ExchangeType

        async def exchange_of(name: str, kind: aio_pika.ExchangeType, **arguments: Any) -> Any:
            return await channel.declare_exchange(name, kind, durable=True, arguments=arguments)

        rest = await exchange_of("rest", kinds.FANOUT)
        front = await exchange_of("front", kinds.TOPIC, **{"alternate-exchange": "by-policy"})
        second = await exchange_of("by-policy", kinds.DIRECT)
        fan, heads = await exchange_of("fan", kinds.FANOUT), await exchange_of("heads", kinds.HEADERS)
        waiting = {"x-dead-letter-exchange": "fan", "x-message-ttl": 0}
        names = ["all", "word", "exact", "end", "direct", "fanned", "rested", "headed", "none"]
        queues = {name: await channel.declare_queue(name, durable=True) for name in names}
        dying = await channel.declare_queue("dying", durable=True, arguments=waiting)
        await queues["all"].bind(front, "chat.#")
        await queues["word"].bind(front, "*")
        await queues["exact"].bind(front, KEY)
        await queues["end"].bind(front, "#.direct")
        await queues["direct"].bind(second, "direct")
        await queues["fanned"].bind(fan)
        await queues["rested"].bind(rest)
        await queues["headed"].bind(heads, arguments={"x-match": "all"})
        await queues["none"].bind(heads, arguments={"x-match": "any"})
        await dying.bind(front, "dlx")
        await fan.bind(front, "fan")
        await heads.bind(fan)
        await fan.bind(heads)
        await second.bind(front, "hop")
        for key in keys:
            await front.publish(aio_pika.Message(key.encode()), key, mandatory=False)
        await asyncio.sleep(0.5)  # dead letters
        arrived = defaultdict(set)
        for name, one in queues.items():
            while (message := await one.get(fail=False, no_ack=True)) is not None:
                arrived[message.body.decode()].add(name)
        listed = [
            item for kind in ("queues", "exchanges", "bindings", "policies") for item in await store.listing(kind)
        ]
    topology = Topology.of(broker.vhost, listed)
    for key in keys:
        found = routes(topology, "front", key)
        assert {route.queue for route in found} - {"dying"} == arrived[key], key
        assert all(route.certain for route in found)
    assert (arrived["lost"], arrived["x.direct"]) == ({"word"}, {"end"})
