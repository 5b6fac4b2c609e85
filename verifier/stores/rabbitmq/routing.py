"""Which queues a message reaches: a simulation of RabbitMQ's routing over what is declared in a vhost.

It follows exchanges of the standard types, bindings between exchanges, alternate exchanges
(https://www.rabbitmq.com/docs/ae) and dead letters (https://www.rabbitmq.com/docs/dlx). Where the way depends on more than the
routing key (headers, hashes, unknown plugins), the queue is reached perhaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from verifier.stores.rabbitmq.patterns import covers, is_pattern, overlaps
from verifier.stores.rabbitmq.topology import Binding, DeadLetters, Topology

SWALLOWS_WITHIN_MS = 60_000
"""A queue that gives its messages away within this time never looks full."""
_HASHES = frozenset({"x-consistent-hash", "x-modulus-hash", "x-random", "x-local-random"})
_TO_ALL = frozenset({"fanout", "x-recent-history"})
_HOPS_MAX = 10_000
"""Above any real topology; it bounds the walk."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a queue.

    Attributes:
        queue: its name.
        certain: whether every such message goes there. Otherwise it depends on what only the message shows.
        by: what delivers it, in words: the last binding, and what led to it.
        dead: whether the message got there as a dead letter of another queue.
        within_ms: for a dead letter, how long it stays at most in the queues before; None without such a limit.
        one_of: the queues among which an exchange chooses by a hash, this one included; empty for other ways.
    """

    queue: str
    certain: bool
    by: str
    dead: bool = False
    within_ms: int | None = 0
    one_of: tuple[str, ...] = ()

    @property
    def swallows(self) -> bool:
        """Whether a dead letter comes this way although nothing goes wrong, so soon that the queue before it looks empty."""
        return self.certain and self.within_ms is not None and self.within_ms <= SWALLOWS_WITHIN_MS


@dataclass(frozen=True, slots=True)
class _Hop:
    """A message on its way to an exchange."""

    exchange: str
    key: str
    certain: bool
    by: tuple[str, ...]
    dead: bool = False
    within_ms: int | None = 0


def routes(topology: Topology, exchange: str, key: str) -> list[Route]:
    """The queues that a message reaches, each once: the most certain and shortest way.

    `key` may be a topic pattern, which stands for all keys that it matches. A certain way is then one that each of them takes.
    """
    best: dict[tuple[str, bool], Route] = {}
    for route in _Router(topology).walk(_Hop(exchange, key, True, ())):
        known = best.get((route.queue, route.dead))
        if known is None or _rank(route) > _rank(known):
            best[route.queue, route.dead] = route
    return list(best.values())


def _rank(route: Route) -> tuple[bool, bool]:
    return route.swallows, route.certain


class _Router:
    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.seen: set[tuple[str, str, bool, bool, bool]] = set()

    def walk(self, start: _Hop) -> Iterator[Route]:
        """All ways from an exchange. Each exchange is visited once for each key and certainty, so that cycles end."""
        waiting = [start]
        while waiting and len(self.seen) < _HOPS_MAX:
            hop = waiting.pop(0)
            mark = (hop.exchange, hop.key, hop.certain, hop.dead, hop.within_ms is None)
            if mark in self.seen:
                continue
            self.seen.add(mark)
            for found in self._next(hop):
                if isinstance(found, _Hop):
                    waiting.append(found)
                    continue
                yield found
                waiting += self._dead_letters(hop, found)

    def _next(self, hop: _Hop) -> Iterator[Route | _Hop]:
        """Where an exchange sends a message."""
        if hop.exchange == "":
            if hop.key in self.topology.queues:
                yield self._arrival(hop, Binding(hop.key, False, hop.key), True)
            return
        exchange = self.topology.exchanges.get(hop.exchange)
        if exchange is None:
            return
        bindings = self.topology.bindings.get(exchange.name, ())
        matched = [
            (item, sure) for item in bindings if (sure := _matches(exchange.kind, item, bindings, hop.key)) is not None
        ]
        for binding, sure in matched:
            if binding.to_exchange:
                by = (*hop.by, f"{hop.exchange} -> {binding.to} [{binding.key}]")
                yield replace(hop, exchange=binding.to, certain=hop.certain and sure, by=by)
            else:
                yield replace(self._arrival(hop, binding, sure), one_of=_choices(exchange.kind, hop, bindings))
        if (
            exchange.alternate is not None
            and not any(sure for _, sure in matched)
            and not (exchange.kind in _HASHES and matched)
        ):
            by = (*hop.by, f"alternate exchange {exchange.alternate} of {exchange.name}")
            yield replace(hop, exchange=exchange.alternate, certain=hop.certain and not matched, by=by)

    def _arrival(self, hop: _Hop, binding: Binding, sure: bool) -> Route:
        last = f"{hop.exchange or '(default)'} -> {binding.to} [{binding.key}]"
        return Route(
            binding.to, hop.certain and sure, ", then ".join((*hop.by, last)), dead=hop.dead, within_ms=hop.within_ms
        )

    def _dead_letters(self, hop: _Hop, route: Route) -> list[_Hop]:
        queue = self.topology.queues.get(route.queue)
        letters = queue.dead_letters if queue else None
        if queue is None or letters is None:
            return []
        leaves_ms = _leaves_within_ms(letters, consumed=queue.consumers != 0)
        within_ms = None if leaves_ms is None or route.within_ms is None else leaves_ms + route.within_ms
        key = hop.key if letters.key is None else letters.key
        by = (route.by, f"as a dead letter of {queue.name}")
        return [_Hop(letters.exchange, key, route.certain, by, dead=True, within_ms=within_ms)]


def _leaves_within_ms(letters: DeadLetters, *, consumed: bool) -> int | None:
    """After what time a message surely leaves a queue as a dead letter; None where it may be consumed or stay."""
    if letters.room == 0 or letters.after_ms == 0:
        return 0  # such a message never waits for a consumer; one that is ready may still get it
    return None if consumed else letters.after_ms


def _matches(kind: str, binding: Binding, siblings: Sequence[Binding], key: str) -> bool | None:
    """Whether an exchange sends a message to a binding: surely, perhaps (False), or not at all (None)."""
    if kind == "topic":
        return True if covers(binding.key, key) else False if overlaps(binding.key, key) else None
    if kind == "direct":
        if not is_pattern(key):
            return True if binding.key == key else None
        return False if overlaps(key, binding.key) else None
    if kind in _TO_ALL:
        return True
    if kind == "headers":
        return _headers_match(binding.arguments)
    if kind in _HASHES:
        return len(siblings) == 1
    return False  # a plugin's type


def _headers_match(arguments: Mapping[str, Any]) -> bool | None:
    """Whether a binding of a headers exchange takes a message whose headers are unknown
    (https://www.rabbitmq.com/docs/exchanges, "Headers exchanges"). Without conditions, `all` takes every message and `any`
    none."""
    mode = str(arguments.get("x-match", "all"))
    with_x = mode.endswith("-with-x")
    conditions = [name for name in arguments if name != "x-match" and (with_x or not name.startswith("x-"))]
    if conditions:
        return False
    return True if mode.startswith("all") else None


def _choices(kind: str, hop: _Hop, bindings: Sequence[Binding]) -> tuple[str, ...]:
    """The queues of which a hash exchange surely chooses one."""
    if kind not in _HASHES or not hop.certain or any(item.to_exchange for item in bindings):
        return ()
    return tuple(item.to for item in bindings)
