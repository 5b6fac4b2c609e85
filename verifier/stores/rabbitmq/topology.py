"""What is declared in one vhost, in the form that routing needs: exchanges, bindings, queues, and the policies in force.

Policies: https://www.rabbitmq.com/docs/policies. An argument that a client gave wins over a policy; of two policies that match,
the one of higher priority is in force; an operator policy is added to it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from verifier.stores.protocols import StoreObject

Kind = Literal["queue", "exchange"]
_APPLIES: Mapping[Kind, frozenset[str]] = {
    "queue": frozenset({"all", "queues", "classic_queues", "quorum_queues", "streams"}),
    "exchange": frozenset({"all", "exchanges"}),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange. `kind` is its type; for a delayed-message exchange, the type that it routes by."""

    name: str
    kind: str
    alternate: str | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding to a queue or to another exchange."""

    to: str
    to_exchange: bool
    key: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Where a queue's dead letters go. `key` is None where a message keeps its own.

    `after_ms`: how long a message stays at most; None without such a limit. `room`: how many messages the queue keeps at
    most.
    """

    exchange: str
    key: str | None
    after_ms: int | None
    room: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and where its dead letters go, if anywhere. `consumers` is None where their number is unknown."""

    name: str
    dead_letters: DeadLetters | None = None
    consumers: int | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """One vhost."""

    vhost: str
    exchanges: Mapping[str, Exchange]
    bindings: Mapping[str, Sequence[Binding]]
    queues: Mapping[str, Queue]

    @classmethod
    def of(cls, vhost: str, objects: Iterable[StoreObject]) -> Topology:
        """From the objects of a listing; those of other vhosts are left out."""
        here: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for item in objects:
            if item.attributes.get("vhost") == vhost:
                here[item.kind].append(item.attributes)
        bindings: dict[str, list[Binding]] = defaultdict(list)
        for raw in here["binding"]:
            bindings[str(raw["source"])].append(
                Binding(
                    str(raw["destination"]),
                    raw["destination_type"] == "exchange",
                    str(raw["routing_key"]),
                    raw.get("arguments") or {},
                )
            )
        exchanges = {str(raw["name"]): _exchange(raw, here["policy"]) for raw in here["exchange"]}
        queues = {str(raw["name"]): _queue(raw, here["policy"]) for raw in here["queue"]}
        return cls(vhost, exchanges, bindings, queues)


def topologies(objects: Iterable[StoreObject]) -> list[Topology]:
    """The vhosts of a listing, by name."""
    objects = list(objects)
    vhosts = {str(item.attributes["vhost"]) for item in objects if item.attributes.get("vhost") is not None}
    return [Topology.of(vhost, objects) for vhost in sorted(vhosts)]


def _exchange(raw: Mapping[str, Any], policies: Sequence[Mapping[str, Any]]) -> Exchange:
    arguments, kind = raw.get("arguments") or {}, str(raw.get("type"))
    if kind == "x-delayed-message":
        kind = str(arguments.get("x-delayed-type", kind))
    name = str(raw["name"])
    policy = _in_force(name, "exchange", policies) if name else {}
    alternate = arguments.get("alternate-exchange", policy.get("alternate-exchange"))
    return Exchange(name, kind, None if alternate is None else str(alternate))


def _queue(raw: Mapping[str, Any], policies: Sequence[Mapping[str, Any]]) -> Queue:
    name, arguments = str(raw["name"]), raw.get("arguments") or {}
    policy = raw.get("effective_policy_definition") or _in_force(name, "queue", policies)
    exchange = arguments.get("x-dead-letter-exchange", policy.get("dead-letter-exchange"))
    consumers = raw.get("consumers")
    if exchange is None:
        return Queue(name, None, consumers)
    key = arguments.get("x-dead-letter-routing-key", policy.get("dead-letter-routing-key"))
    overflow = arguments.get("x-overflow", policy.get("overflow"))
    room = None if overflow == "reject-publish" else _least(arguments.get("x-max-length"), policy.get("max-length"))
    letters = DeadLetters(
        str(exchange),
        None if key is None else str(key),
        _least(arguments.get("x-message-ttl"), policy.get("message-ttl")),
        room,
    )
    return Queue(name, letters, consumers)


def _least(*limits: Any) -> int | None:
    """The limit in force: the smaller one of an argument and a policy."""
    return min((int(limit) for limit in limits if isinstance(limit, int | float)), default=None)


def _in_force(name: str, kind: Kind, policies: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The definition that the policies give to an object, where the broker does not say it itself."""
    found: dict[str, Any] = {}
    for operator in (False, True):
        matching = [
            policy
            for policy in policies
            if bool(policy.get("operator")) is operator
            and policy.get("apply-to", "all") in _APPLIES[kind]
            and _names(str(policy.get("pattern", "")), name)
        ]
        if matching:
            found |= max(matching, key=lambda policy: policy.get("priority") or 0).get("definition") or {}
    return found


def _names(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False  # Erlang's dialect; such a policy is rare, and a queue says itself which definition is in force
