"""MQ-01 on listings: which queue takes the chat queue's place, which may, and which does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verifier.stores.rabbitmq.test_routing import KEY, binding, exchange, policy, queue
from verifier.checks.broker import chat_queue_gone, chat_queue_unreferenced
from verifier.profile import Profile, parse_profile
from verifier.proofs import Inventory
from verifier.stores.protocols import StoreObject

BOUND = (exchange("chat"), queue("v2", messages=0))


def profile(chat: str = 'exchange = "chat"\nrouting_key = "chat.message.notify"', inventory: str = "") -> Profile:
    """A profile whose legacy stores are frozen, with the entry of the chat queue."""
    return parse_profile(
        f"""
        stack = "s"
        phase = "frozen"
        [since]
        frozen = 2026-01-01T00:00:00+00:00
        [scope]
        kind = "all"
        [roles.broker]
        management_url = "http://u:p@mq"
        [queues.chat_message_notify]
        name = "{KEY}"
        {chat}
        [queues.notification_push]
        name = "notification.push"
        [inventory]
        {inventory}
        """
    )


def inventory_of(found: Profile) -> Inventory:
    """The proof of MQ-01."""
    proof = chat_queue_gone(found)
    assert isinstance(proof, Inventory)
    return proof


def judge(*objects: StoreObject, **settings: str) -> tuple[list[str], list[str]]:
    """The keys of the problems, and the doubts."""
    proof = inventory_of(profile(**settings))
    return sorted(str(problem.key) for problem in proof.judge(objects, None)), list(proof.doubts(objects))


def test_a_queue_that_takes_its_place() -> None:
    """Reached by the old exchange and key; by other keys it is a queue like any other."""
    assert judge(*BOUND, binding("chat", "v2", "chat.#")) == (["route@//v2"], [])
    assert judge(*BOUND, binding("chat", "v2", "metrics")) == ([], [])


@pytest.mark.parametrize("inventory", ['queues = ["v2"]', 'queues = ["other", "v*"]'])
def test_a_declared_queue(inventory: str) -> None:
    """By the inventory, or by a section of its own."""
    assert judge(*BOUND, binding("chat", "v2", "#"), inventory=inventory) == ([], [])
    push = queue("notification.push", messages=0)
    assert judge(exchange("chat"), push, binding("chat", "notification.push", "#")) == ([], [])


def test_the_old_binding_had_a_wildcard() -> None:
    """`verifier init` drafts the key of the binding. All of its messages are a breach, some of them a doubt."""
    chat = 'exchange = "chat"\nrouting_key = "chat.#"'
    assert judge(*BOUND, binding("chat", "v2", "#"), chat=chat) == (["route@//v2"], [])
    keys, doubts = judge(*BOUND, binding("chat", "v2", "chat.metrics"), chat=chat)
    assert (keys, len(doubts)) == ([], 1)
    assert "declare it in inventory.queues" in doubts[0]


def test_a_hash_over_undeclared_queues() -> None:
    """One of them surely gets the message. With a declared one among them it is a doubt."""
    hashed = [
        exchange("chat", "x-consistent-hash"),
        queue("a"),
        queue("b"),
        binding("chat", "a", "1"),
        binding("chat", "b", "1"),
    ]
    assert judge(*hashed) == (["route@//a", "route@//b"], [])
    keys, doubts = judge(*hashed, inventory='queues = ["b"]')
    assert (keys, len(doubts)) == ([], 1)


def test_dead_letters_of_the_chat_queue_itself() -> None:
    """A queue that keeps its messages for no time looks empty: who reads its dead letters has the chat messages. Those of an
    ordinary dead-letter queue come only if something goes wrong."""
    to = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "shadow"}
    chat, shadow = exchange("chat"), queue("shadow")
    kept = queue(KEY, messages=0, consumers=0, arguments=to)
    assert judge(chat, shadow, kept) == ([], [])
    assert judge(chat, shadow, queue(KEY, messages=0, consumers=0, arguments=to | {"x-message-ttl": 0})) == (
        ["route@//shadow"],
        [],
    )
    assert judge(chat, shadow, kept, policy("^chat", "queues", operator=True, message_ttl=10)) == (
        ["route@//shadow"],
        [],
    )


def test_dead_letters_of_a_declared_queue() -> None:
    """The audit gets chat messages by declaration, and rejects some into a queue that nobody declared."""
    audit = queue(
        "audit", consumers=1, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "audit.rest"}
    )
    keys, doubts = judge(
        exchange("chat"), audit, queue("audit.rest"), binding("chat", "audit", "#"), inventory='queues = ["audit"]'
    )
    assert (keys, ["audit.rest" in doubt for doubt in doubts]) == ([], [True])


def test_the_profile_names_no_exchange() -> None:
    """A queue bound by this very key may have taken the place; one that gets everything of an exchange says nothing."""
    chat = ""
    found = [exchange("events"), exchange("all", "fanout"), queue("v2"), queue("billing"), binding("all", "billing")]
    assert judge(*found, binding("events", "billing", "#"), chat=chat) == ([], [])
    keys, doubts = judge(*found, binding("events", "v2", "chat.message.*"), chat=chat)
    assert (keys, ["chat_message_notify.exchange" in doubt for doubt in doubts]) == ([], [True])


@pytest.mark.parametrize(("messages", "doubted"), [(0, False), (None, True)])
def test_an_unknown_number_of_messages(messages: int | None, doubted: bool) -> None:
    """A queue that is down does not say how many messages it has."""
    keys, doubts = judge(queue(KEY, messages=messages, state="down" if doubted else "running"))
    assert (keys, bool(doubts)) == ([], doubted)


def test_a_vhost_of_others() -> None:
    """The ownership map leaves it out; its own vhost is never others'."""
    proof = inventory_of(profile(inventory='foreign_vhosts = ["*"]'))
    items: list[Any] = [queue("v2"), StoreObject(kind="queue", name="x", attributes={"name": "v2", "vhost": "shop"})]
    assert [proof.applies(item) for item in items] == [True, False]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"value": {"src-exchange": "chat", "src-exchange-key": "chat.#"}}, True),
        ({"value": {"src-exchange": "chat"}}, True),
        ({"src_exchange": "chat", "src_exchange_key": KEY}, True),
        ({"value": {"src-exchange": "chat", "src-exchange-key": "metrics"}}, False),
        ({"value": {"src-exchange": "shop", "src-exchange-key": "#"}}, False),
        ({"value": {"src-queue": KEY}}, True),
        ({"value": {"src-queue": "billing", "dest-queue": "archive"}}, False),
        ({"value": "text"}, False),
    ],
)
def test_shovels(settings: dict[str, Any], named: bool) -> None:
    """MQ-03: a shovel that takes chat messages, from the queue or straight from its exchange."""
    shovel = StoreObject(
        kind="parameter", name="shovel s", attributes={"component": "shovel", "vhost": "/", **settings}
    )
    proof = chat_queue_unreferenced(profile())
    assert isinstance(proof, Inventory)
    assert [problem.key for problem in proof.judge([shovel], None)] == (["parameter shovel s"] if named else [])
