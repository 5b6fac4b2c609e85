"""Finds publishes to a Redis channel and writes to the keys of a pattern, by taps, scans and command counters.

It relies on these measured facts:

* The only trace of a PUBLISH without subscribers is `cmdstat_publish`.
* An SPUBLISH is not delivered to SUBSCRIBE.
* SCAN misses keys that live shorter than its interval.
* OBJECT IDLETIME shows the last access to a key and is not an access itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from verifier.model.query import Rows
from verifier.profile.relations import Channel, Column, Relation
from verifier.stores.errors import StoreError
from verifier.stores.protocols import CounterSnapshot, Observer, Witness
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.source import RedisSource
from verifier.stores.redis.taps import Tap
from verifier.stores.redis.values import KeyPattern

SCAN_INTERVAL_S = 0.4
POLL_S = 0.2
DRAIN_S = 0.05
_REMOVALS = frozenset(
    b"del expired evicted hdel hexpired srem spop zrem zremrangebyscore zremrangebyrank zpopmin zpopmax lpop rpop ltrim lrem "
    b"xdel xtrim rename_from move_from keymiss".split()
)
"""Keyspace events that write nothing new. All others count as writes, also those that a later version adds."""
_EVENT_CLASSES = frozenset("g$lshzt")
"""The classes of commands that write, as `notify-keyspace-events` names them; `A` stands for all."""
_OTHER_NAMES = "data under another name: a key of another pattern, a field of another hash"
_BETWEEN = "keys that were written and removed again between two scans or runs"


async def _server_facts(client: RedisClient) -> dict[str, str]:
    facts, replication = await client.info("server"), await client.info("replication")
    return {"server run": str(facts["run_id"]), "role in replication": str(replication.get("role", "?"))}


class ChannelObserver(Observer):
    """Finds publishes to one channel: a tap hears them, plain and sharded; the counter is of the whole server."""

    unseen: tuple[str, ...] = ("a publish outside the observation window",)

    def __init__(self, client: RedisClient, channel: Channel) -> None:
        self._client = client
        self._channel = channel
        self.label = f"{client.role}: channel {channel.name}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The commands that are sent."""
        return (f"SUBSCRIBE {self._channel.name}; SSUBSCRIBE {self._channel.name}; INFO commandstats",)

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """The server-wide count of PUBLISH and SPUBLISH. `settled` has no effect, because it is never delayed."""
        continuity = await _server_facts(self._client)
        at = await self._client.clock()
        try:
            stats = await self._client.info("commandstats")
        except StoreError:
            return CounterSnapshot(
                at, continuity, {}, "", ("publishes between two runs: INFO commandstats is not granted",)
            )
        if continuity["role in replication"] != "master":
            # A replica counts what its master replicates, not what was published on the master.
            return CounterSnapshot(at, continuity, {}, "", ("publishes between two runs: this server is a replica",))
        # A first RESETSTAT changes this count; a later one makes some other count go back.
        continuity["command statistics"] = f"{_calls(stats, 'config|resetstat')} resets since they began"
        counters = {"publish": _calls(stats, "publish") + _calls(stats, "spublish")}
        return CounterSnapshot(at, continuity, counters, heartbeats=_all_calls(stats))

    async def watch(self, seconds: float) -> AsyncIterator[Witness]:
        """Listen for some seconds, and yield what arrives."""
        name = self._channel.name
        async with self._client.pubsub() as subscriber:
            tap = Tap(self._client, subscriber, name)
            try:
                await tap.begin()
                async for message in _messages(self._client, subscriber, seconds, tap.early):
                    if message["type"] in ("message", "smessage"):
                        at = await self._client.clock()
                        how = "a subscription of the verifier" + (" (sharded)" if message["type"] == "smessage" else "")
                        size = len(message["data"] or b"")
                        yield Witness(
                            operation="publish",
                            key=f"{at.isoformat(timespec='milliseconds')} ({size} bytes)",
                            row={},
                            how=how,
                            written_at=at,
                        )
            finally:
                await tap.end()

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """None: a channel stores nothing."""
        return
        yield  # pragma: no cover - makes this an asynchronous generator


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


_LFU_UNSEEN = "when keys were last accessed: this server keeps no idle times (its maxmemory-policy is an LFU one)"
_IDLE_UNSEEN = "when keys were last accessed: this server has no CLIENT NO-TOUCH (Redis 7.2), so that the verifier's own reads count"


class KeysObserver(Observer):
    """Finds writes to the keys of a pattern: by repeated scans, idle times and, where the server sends them, keyspace
    events."""

    def __init__(self, client: RedisClient, relation: Relation) -> None:
        self._client = client
        self._relation = relation
        self._pattern = KeyPattern(relation.keys or "")
        self.unseen: tuple[str, ...] = (
            f"keys that live shorter than {SCAN_INTERVAL_S} s",
            "keys in other database indexes",
            _BETWEEN,
            _OTHER_NAMES,
        )
        self.label = f"{client.role}: keys {relation.keys}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The commands that are sent."""
        return (f"SCAN MATCH {self._pattern.glob} every {SCAN_INTERVAL_S} s; OBJECT IDLETIME and PTTL of each key",)

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """The identity of the server process. Key patterns have no counter."""
        at, continuity = await self._client.clock(), await _server_facts(self._client)
        return CounterSnapshot(at, continuity, limitations=() if self._idle_counts else (_IDLE_UNSEEN,))

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """None: `watch` finds them all."""
        return
        yield  # pragma: no cover - makes this an asynchronous generator

    async def watch(self, seconds: float) -> AsyncIterator[Witness]:
        """Scan repeatedly for some seconds, at least once."""
        async with self._client.pubsub() as subscriber:
            listening = await self._listen(subscriber)
            deadline = time.monotonic() + seconds
            ttls: dict[str, int | None] = {}
            first = True
            while first or time.monotonic() < deadline:
                started = time.monotonic()
                async for witness in self._scan(ttls, first=first):
                    yield witness
                first = False
                pause = max(0.0, min(SCAN_INTERVAL_S - (time.monotonic() - started), deadline - time.monotonic()))
                if listening:
                    async for message in _messages(self._client, subscriber, pause):
                        if (event := await self._event(message)) is not None:
                            yield event
                else:
                    await asyncio.sleep(pause)
            if listening:  # events that were sent during the last scan
                async for message in _messages(self._client, subscriber, DRAIN_S):
                    if (event := await self._event(message)) is not None:
                        yield event

    @property
    def _idle_counts(self) -> bool:
        """Whether an idle time shows access by others. It does not where the verifier's own reads of values reset it."""
        reads_values = any(
            not column.column.startswith(("{", "@key", "@ttl", "@type", "@idle"))
            for column in self._relation.columns.values()
        )
        return self._client.no_touch or not reads_values

    async def _listen(self, subscriber: Any) -> bool:
        """Subscribe to keyspace events, and return whether they can be received.

        `unseen` becomes shorter only where CONFIG GET shows that the server sends all classes of events.
        """
        sent = ""
        with suppress(StoreError):  # CONFIG GET is often not granted
            settings = await self._client.run("CONFIG GET", self._client.driver.config_get("notify-keyspace-events"))
            sent = str(next(iter(settings.values()), ""))
            if "K" not in sent:
                return False
        try:
            await self._client.run("PSUBSCRIBE", subscriber.psubscribe(f"__keyspace@*__:{self._pattern.glob}"))
        except StoreError:
            return False
        if "A" in sent or set(sent) >= _EVENT_CLASSES:
            self.unseen = (_BETWEEN, _OTHER_NAMES)
        return True

    async def _event(self, message: Any) -> Witness | None:
        """The write that a message reports; None for other messages."""
        if message["type"] != "pmessage" or message["data"] in _REMOVALS:
            return None
        name = message["channel"].decode("utf-8", "replace")
        database, _, key = name.partition("__:")
        if self._pattern.parse(key) is None:
            return None  # the glob matches more keys than the pattern
        at = await self._client.clock()
        how = f"keyspace event {message['data'].decode()} in database {database.partition('@')[2]}"
        return Witness(operation="write", key=key, row={}, how=how, written_at=at)

    async def _scan(self, ttls: dict[str, int | None], *, first: bool) -> AsyncIterator[Witness]:
        """Keys that were accessed or renewed: the first scan uses idle times, later ones new keys and TTLs that grew."""
        relation = self._relation.model_copy(update={"columns": {**self._relation.columns, **_BUILT_IN}})
        source = RedisSource(self._client, relation, Rows("keys", ("_key", "_ttl_ms", "_idle_s")))
        async for chunk in source.chunks():
            now = await self._client.clock()
            for row in chunk:
                key, ttl = row["_key"], row["_ttl_ms"]
                known = key in ttls
                renewed = known and ttl is not None and (ttls[key] is None or ttl > (ttls[key] or 0))
                ttls[key] = ttl
                if row["_idle_s"] is None and _LFU_UNSEEN not in self.unseen:
                    self.unseen = (*self.unseen, _LFU_UNSEEN)
                if renewed or (not known and not first):
                    yield Witness(
                        operation="write",
                        key=key,
                        row=row,
                        how="it appeared or was renewed during the observation",
                        written_at=now,
                    )
                elif not known and row["_idle_s"] is not None and self._idle_counts:
                    accessed_at = now - timedelta(seconds=row["_idle_s"] + 1)
                    yield Witness(
                        operation="write",
                        key=key,
                        row=row,
                        how=f"last accessed {row['_idle_s']} s ago (OBJECT IDLETIME)",
                        written_at=accessed_at,
                    )


_BUILT_IN = {
    "_key": Column(column="@key"),
    "_ttl_ms": Column(column="@ttl_ms"),
    "_idle_s": Column(column="@idle_s"),
}


async def _messages(
    client: RedisClient, subscriber: Any, seconds: float, early: Sequence[Any] = ()
) -> AsyncIterator[Any]:
    for message in early:
        yield message
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        message = await client.run("tap", subscriber.get_message(timeout=min(POLL_S, left)), count=0)
        if message is not None:
            yield message
