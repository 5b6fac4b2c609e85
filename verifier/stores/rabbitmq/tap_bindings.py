"""Whether the operator's tap queue gets what the tapped queue gets."""

from __future__ import annotations

from verifier.profile.relations import Queue
from verifier.stores.rabbitmq.client import RabbitMQClient
from verifier.stores.rabbitmq.listing import list_vhost
from verifier.stores.rabbitmq.routing import routes
from verifier.stores.rabbitmq.topology import Topology

STRAIGHT = "messages published straight to the queue, by its name, which no tap sees"
ENCRYPTED = "what is in encrypted or binary fields of a message"


async def what_the_tap_misses(
    client: RabbitMQClient, tap: Queue, tapped: Queue | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is published to the tapped queue and surely does not reach the tap, and what perhaps does not: in words."""
    vhost = client.config.vhost
    objects = [
        item
        for kind in ("queues", "exchanges", "bindings", "policies")
        for item in await list_vhost(client, kind, vhost)
    ]
    missed = [f"what is listed is not whole: {item.name}" for item in objects if item.kind == "unreadable"]
    topology = Topology.of(vhost, objects)
    unseen = [STRAIGHT, ENCRYPTED]
    limits = next(
        (item.attributes for item in objects if item.kind == "queue" and item.attributes["name"] == tap.name), {}
    )
    in_force = {**(limits.get("effective_policy_definition") or {}), **(limits.get("arguments") or {})}
    shown = sorted(
        name.removeprefix("x-")
        for name in in_force
        if name.removeprefix("x-") in ("max-length", "max-length-bytes", "message-ttl", "expires")
    )
    if shown:
        unseen.append(f"messages that {tap.name} dropped before they were read: it has {', '.join(shown)}")
    if tapped is None or tap.name not in topology.queues:
        return tuple(missed), tuple(unseen)
    ways = {
        (source, binding.key)
        for source, bindings in topology.bindings.items()
        for binding in bindings
        if source and binding.to == tapped.name and not binding.to_exchange
    }
    if tapped.exchange and tapped.exchange in topology.exchanges:
        ways.add((tapped.exchange, tapped.name if tapped.routing_key is None else tapped.routing_key))
    if not ways:
        missed.append(f"{tapped.name} is bound to no exchange, so that {tap.name} cannot get what is published to it")
    for source, key in sorted(ways):
        if not any(
            route.queue == tap.name and route.certain and not route.dead for route in routes(topology, source, key)
        ):
            missed.append(
                f"{tap.name} does not get all that exchange {source} sends to {tapped.name} by [{key}]: bind it alike"
            )
    return tuple(missed), tuple(unseen)
