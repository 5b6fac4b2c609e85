"""Row "RabbitMQ" [D12]: where a message goes that is published as messages to the chat queue were, now that the queue is unbound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from verifier.model.invariant import Problem
from verifier.profile.models import Profile
from verifier.profile.relations import Queue
from verifier.stores.protocols import StoreObject
from verifier.stores.rabbitmq.patterns import covers, is_pattern, overlaps, words
from verifier.stores.rabbitmq.routing import Route, routes
from verifier.stores.rabbitmq.topology import Topology, topologies


class ChatWays:
    """The ways of a chat message through the broker, as the profile describes how it was published.

    A queue is declared if a section `[queues.NAME]` or a pattern of `inventory.queues` names it.
    """

    def __init__(self, profile: Profile, queue: Queue) -> None:
        self.queue = queue
        self.exchange = queue.exchange or ""
        self.key = queue.name if queue.routing_key is None else queue.routing_key
        if not self.exchange:
            self.key = queue.name  # the default exchange routes by the queue's name alone
        self._declared = {item.name for item in profile.queues.values() if item.role == queue.role}
        self._patterns = profile.inventory.queues
        self.unseen: tuple[str, ...] = (
            "messages with other routing keys, and those that name further keys in the headers CC and BCC",
        )

    def declared(self, name: str) -> bool:
        """Whether the profile names a queue."""
        return name in self._declared or any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def problems(self, objects: Sequence[StoreObject]) -> Iterator[Problem]:
        """The undeclared queues that receive chat messages."""
        for topology in topologies(objects):
            for route in self._undeclared(topology):
                if self._certain(route):
                    yield self._problem(topology, route)

    def doubts(self, objects: Sequence[StoreObject]) -> Iterator[str]:
        """The undeclared queues that may receive chat messages."""
        for topology in topologies(objects):
            for route in self._undeclared(topology):
                if not self._certain(route):
                    yield (
                        f"queue {route.queue} in vhost {topology.vhost} may receive what was meant for {self.queue.name} ({route.by}); "
                        "whether it does depends on what only the messages show. Unbind it, or declare it in inventory.queues"
                    )
            if not self.exchange:
                yield from self._unnamed(topology)

    def fed_by(self, item: StoreObject) -> bool:
        """Whether a shovel takes chat messages from their exchange. Its definition has `-` in names, the page of the plugin `_`."""
        value = item.attributes.get("value")
        settings = value if isinstance(value, Mapping) else item.attributes
        found = {str(name).replace("_", "-"): text for name, text in settings.items()}
        if not self.exchange or found.get("src-exchange") != self.exchange:
            return False
        return overlaps(str(found.get("src-exchange-key") or "#"), self.key)

    def _undeclared(self, topology: Topology) -> Iterator[Route]:
        """One way to each undeclared queue, a certain one if there is any."""
        found = [route for route in routes(topology, self.exchange, self.key) if self.exchange or route.swallows]
        if self.exchange:
            # Published by the queue's own name: a queue that gives its messages away at once hides them.
            found += [route for route in routes(topology, "", self.queue.name) if route.dead and route.swallows]
        best = {route.queue: route for route in sorted(found, key=self._certain) if not self.declared(route.queue)}
        yield from best.values()

    def _certain(self, route: Route) -> bool:
        if route.dead:
            return route.swallows
        return route.certain or (bool(route.one_of) and not any(map(self.declared, route.one_of)))

    def _unnamed(self, topology: Topology) -> Iterator[str]:
        """Undeclared queues bound by this very key, where the profile does not say through which exchange chat comes."""
        for source, bindings in topology.bindings.items():
            kind = topology.exchanges[source].kind if source in topology.exchanges else ""
            for binding in bindings:
                specific = kind == "direct" and binding.key == self.queue.name
                specific |= kind == "topic" and covers(binding.key, self.queue.name) and _has_a_word(binding.key)
                if source and specific and not binding.to_exchange and not self.declared(binding.to):
                    yield (
                        f"queue {binding.to} in vhost {topology.vhost} is bound to {source} by the key [{binding.key}]; whether that was "
                        "the way of chat messages is unknown. Set queues.chat_message_notify.exchange, or declare the queue in "
                        "inventory.queues"
                    )

    def _problem(self, topology: Topology, route: Route) -> Problem:
        sent = f"exchange {self.exchange} with key {self.key}" if self.exchange else f"the key {self.key}"
        return Problem(
            key=f"route@{topology.vhost}/{route.queue}",
            summary=f"queue {route.queue} in vhost {topology.vhost} receives what was meant for {self.queue.name}",
            expected=f"a message to {sent} reaches no queue that the profile does not declare",
            actual=route.by,
            next_step="Remove the binding, the alternate exchange or the dead-letter setting that leads there, and stop its consumer. If the "
            "queue is not about chat, declare it in inventory.queues.",
        )


def _has_a_word(pattern: str) -> bool:
    return any(not is_pattern(word) for word in words(pattern))
