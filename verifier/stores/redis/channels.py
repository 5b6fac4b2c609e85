"""Finds publishes to a Redis channel by taps and command counters.

It relies on these measured facts:

* The only trace of a PUBLISH without subscribers is `cmdstat_publish`, on the server that got the command.
* An SPUBLISH is not delivered to SUBSCRIBE.
* A cluster delivers a PUBLISH on all of its servers, and an SPUBLISH on those of the channel's shard
  (https://redis.io/docs/latest/develop/interact/pubsub/).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from redis.crc import key_slot

from verifier.profile.relations import Channel
from verifier.stores.errors import StoreError
from verifier.stores.protocols import CounterSnapshot, Observer, Witness
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.facts import server_facts, without_run_id
from verifier.stores.redis.layout import Layout
from verifier.stores.redis.node import Node
from verifier.stores.redis.taps import Tap, messages


class ChannelObserver(Observer):
    """Finds publishes to one channel: taps hear them, plain and sharded; the counters are of whole servers."""

    unseen: tuple[str, ...] = ("a publish outside the observation window",)

    def __init__(self, client: RedisClient, channel: Channel) -> None:
        self._client = client
        self._channel = channel
        self._slot = key_slot(channel.name.encode())
        self.label = f"{client.role}: channel {channel.name}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The commands that are sent."""
        return (f"SUBSCRIBE {self._channel.name}; SSUBSCRIBE {self._channel.name}; INFO commandstats",)

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """The count of PUBLISH and SPUBLISH of all servers. `settled` has no effect, because it is never delayed."""
        layout = await self._client.layout(fresh=True)
        nodes = layout.listening
        dead = "; ".join(layout.hidden) if self._client.config.mode == "cluster" else ""
        continuity = await server_facts(self._client, nodes)
        at = await self._client.clock()
        limitations = list(without_run_id(continuity))
        published = 0
        heartbeats: dict[str, int] = {}
        for node in nodes:
            try:
                stats = await node.info("commandstats")
            except StoreError:
                return _uncounted(at, continuity, "INFO commandstats is not granted", limitations)
            if not stats:
                return _uncounted(at, continuity, "INFO commandstats is empty here", limitations)
            if not node.primary and self._client.config.mode != "cluster":
                # A replica counts what its master replicates, not what was published on the master.
                return _uncounted(at, continuity, "this server is a replica", limitations)
            of = f" of {node.name}" if node.name else ""
            # A first RESETSTAT changes this count; a later one makes some other count go back.
            continuity[f"command statistics{of}"] = f"{_calls(stats, 'config|resetstat')} resets since they began"
            published += _calls(stats, "publish") + _calls(stats, "spublish")
            heartbeats |= {f"{name}{of}": calls for name, calls in _all_calls(stats).items()}
        return CounterSnapshot(
            at,
            continuity,
            {"publish": published},
            heartbeats=heartbeats,
            limitations=tuple(limitations),
            inconclusive_because=dead,
        )

    async def watch(self, seconds: float) -> AsyncIterator[Witness]:
        """Listen for some seconds on every server, and yield what arrives."""
        layout = await self._client.layout(fresh=True)
        async with AsyncExitStack() as stack:
            taps = [(node, await self._tap(stack, node)) for node in layout.listening]
            deaf = dict.fromkeys(tap.deaf for _, (tap, _) in taps if tap.deaf)
            self.unseen = (*type(self).unseen, *deaf)
            heard = _Heard()
            early = [(node, message) for node, (tap, _) in taps for message in tap.early]
            for node, message in early:
                if heard.new(node, message):
                    yield await self._witness(node, message)
            async for node, message in messages([(node, subscriber) for node, (_, subscriber) in taps], seconds):
                if heard.new(node, message):
                    yield await self._witness(node, message)
        self._require_same(layout, await self._client.layout(fresh=True))

    async def _tap(self, stack: AsyncExitStack, node: Node) -> tuple[Tap, Any]:
        subscriber = await stack.enter_async_context(node.pubsub())
        # A cluster refuses SSUBSCRIBE on a server that does not have the channel's slot.
        sharded = self._client.config.mode != "cluster" or node.serves(self._slot)
        tap = Tap(node, subscriber, self._channel.name, sharded=sharded)
        stack.push_async_callback(tap.end)
        await tap.begin()
        return tap, subscriber

    def _require_same(self, before: Layout, after: Layout) -> None:
        if {node.address for node in before.listening} != {node.address for node in after.listening}:
            raise StoreError(
                f"{self._client.label}: the servers changed while the taps listened (a failover), so some may not have been heard. Run again."
            )

    async def _witness(self, node: Node, message: Any) -> Witness:
        at = await node.clock()
        how = "a subscription of the verifier" + (" (sharded)" if message["type"] == "smessage" else "")
        size = len(message["data"] or b"")
        key = f"{at.isoformat(timespec='milliseconds')} ({size} bytes)"
        return Witness(operation="publish", key=key, row={}, how=how, written_at=at)

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """None: a channel stores nothing."""
        return
        yield  # pragma: no cover - makes this an asynchronous generator


class _Heard:
    """Counts each publish once, although every server of a cluster delivers it: as often as any one server delivered the
    same content."""

    def __init__(self) -> None:
        self._by_server: Counter[tuple[str, str, bytes]] = Counter()
        self._counted: Counter[tuple[str, bytes]] = Counter()

    def new(self, node: Node, message: Any) -> bool:
        """Whether a message is a publish that is not counted yet."""
        if message["type"] not in ("message", "smessage"):
            return False
        data = message["data"]
        raw = data if isinstance(data, bytes) else str(data or "").encode("utf-8", "surrogatepass")
        content = (message["type"], hashlib.blake2b(raw, digest_size=16).digest())  # contents are not kept
        self._by_server[(str(node.address), *content)] += 1
        if self._by_server[(str(node.address), *content)] <= self._counted[content]:
            return False
        self._counted[content] += 1
        return True


def _uncounted(at: Any, continuity: Mapping[str, str], why: str, limitations: list[str]) -> CounterSnapshot:
    return CounterSnapshot(at, continuity, {}, "", (*limitations, f"publishes between two runs: {why}"))


def _calls(stats: Mapping[str, Any], command: str) -> int:
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


def _all_calls(stats: Mapping[str, Any]) -> dict[str, int]:
    """The count of each command. After a reset, a busy server soon exceeds an earlier sum, but not the count of a rare
    command."""
    return {
        name.removeprefix("cmdstat_"): int(item.get("calls", 0))
        for name, item in stats.items()
        if isinstance(item, Mapping)
    }
