"""Finds writes to the keys of a pattern, by repeated scans, idle times, fields of hashes and keyspace events.

It relies on these measured facts:

* SCAN misses keys that live shorter than its interval, and sees one database index of one server.
* OBJECT IDLETIME shows the last access to a key and is not an access itself.
* Keyspace events come from the server that has the key, for every database index.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Column, Relation
from verifier.stores.errors import StoreError
from verifier.stores.protocols import CounterSnapshot, Observer, Witness
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.events import EventTaps
from verifier.stores.redis.facts import server_facts, without_run_id
from verifier.stores.redis.fields import Fields, fields_or_reason
from verifier.stores.redis.keys import KeyPattern
from verifier.stores.redis.places import all_places
from verifier.stores.redis.source import RedisSource

SCAN_INTERVAL_S = 0.4
DRAIN_S = 0.05
_OTHER_NAMES = "data under another name: a key of another pattern, a value of another key"
_BETWEEN = "keys that were written and removed again between two scans or runs"
_LFU_UNSEEN = "when keys were last accessed: this server keeps no idle times (its maxmemory-policy is an LFU one)"
_IDLE_UNSEEN = "when keys were last accessed: this server has no CLIENT NO-TOUCH (Redis 7.2), so that the verifier's own reads count"
_BUILT_IN = {
    "_key": Column(column="@key"),
    "_ttl_ms": Column(column="@ttl_ms"),
    "_idle_s": Column(column="@idle_s"),
}


class KeysObserver(Observer):
    """Finds writes to the keys of a pattern, in every database index and on every server, also behind prefixes and in the
    wrappings of serialisers, and to fields of other hashes that have the pattern's word in their name."""

    def __init__(self, client: RedisClient, relation: Relation) -> None:
        self._client = client
        self._relation = relation
        self._pattern = KeyPattern(relation.keys or "")
        self._word = self._pattern.word
        self._fields = Fields()
        self._known: dict[str, tuple[int | None, int | None]] = {}
        short_lived = f"keys that live shorter than {SCAN_INTERVAL_S} s"
        self.unseen: tuple[str, ...] = (short_lived, _BETWEEN, self._other_names)
        self.label = f"{client.role}: keys {relation.keys}"
        columns = {**relation.columns, **_BUILT_IN}
        self._rows = Rows("keys", tuple(_BUILT_IN), everywhere=True)
        self._observed = relation.model_copy(update={"columns": columns})

    @property
    def _other_names(self) -> str:
        return _OTHER_NAMES if self._word else f"{_OTHER_NAMES}, a field of another hash"

    @property
    def queries(self) -> tuple[str, ...]:
        """The commands that are sent."""
        scan = f"SCAN MATCH {self._pattern.widest_glob} every {SCAN_INTERVAL_S} s in every database index"
        fields = f"; HSCAN MATCH *{self._word}* of each hash" if self._word else ""
        return (f"{scan}; OBJECT IDLETIME and PTTL of each key{fields}",)

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """The identity of the server processes, and marks of the fields of that name. Key patterns have no counter."""
        layout = await self._client.layout(fresh=True)
        at, continuity = await self._client.clock(), await server_facts(self._client, layout.shards)
        places = await all_places(self._client)
        self._fields = await fields_or_reason(self._client, places, self._pattern, self._word)
        idle = () if self._idle_counts else (_IDLE_UNSEEN,)
        return CounterSnapshot(
            at,
            continuity,
            limitations=(*idle, *places.unread, *layout.unseen, *self._fields.limitations, *without_run_id(continuity)),
            known=frozenset(self._fields.found),
            inconclusive_because="; ".join(layout.hidden),
        )

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Fields of other hashes that are new or changed since the last run; `watch` finds the keys."""
        if before is None or before.known is None:
            return
        for mark, name in self._fields.found.items():
            if mark not in before.known:
                how = "a field that is new, or has a new value, since the last run"
                yield Witness(operation="write", key=name, row={}, how=how, mark=mark)

    async def watch(self, seconds: float) -> AsyncIterator[Witness]:
        """Scan repeatedly for some seconds, at least once."""
        self._known = {}
        async with AsyncExitStack() as stack:
            events = EventTaps(self._client, self._pattern)
            await events.open(stack)
            if events.complete:
                self.unseen = (_BETWEEN, self._other_names)
            deadline = time.monotonic() + seconds
            first = True
            while first or time.monotonic() < deadline:
                started = time.monotonic()
                async for witness in self._scan(first=first):
                    yield witness
                first = False
                pause = max(0.0, min(SCAN_INTERVAL_S - (time.monotonic() - started), deadline - time.monotonic()))
                async for event in self._events(events, pause):
                    yield event
            async for event in self._events(events, DRAIN_S):  # events that were sent during the last scan
                yield event

    async def _events(self, events: EventTaps, seconds: float) -> AsyncIterator[Witness]:
        if not events.listening:
            await asyncio.sleep(seconds)
            return
        async for witness in events.during(seconds):
            if not self._relation.where or await self._belongs(witness.key):
                yield witness

    async def _belongs(self, name: str) -> bool:
        """Whether a key is, at this moment, a record of the relation: its state counts, not its name alone."""
        rows = Rows("keys", tuple(_BUILT_IN))
        source = RedisSource(self._client, self._observed, rows)
        return bool(await source.by_name([name]))

    @property
    def _idle_counts(self) -> bool:
        """Whether an idle time shows access by others. It does not where the verifier's own reads of values reset it."""
        reads_values = bool(self._relation.where) or any(
            not column.column.startswith(("{", "@key", "@ttl", "@type", "@idle"))
            for column in self._relation.columns.values()
        )
        return self._client.no_touch or not reads_values

    async def _scan(self, *, first: bool) -> AsyncIterator[Witness]:
        """Keys that were accessed or renewed: the first scan uses idle times, later ones new keys, TTLs that grew and idle
        times that became shorter."""
        source = RedisSource(self._client, self._observed, self._rows)
        async for chunk in source.chunks():
            now = await self._client.clock()
            for row in chunk:
                if row["_idle_s"] is None and _LFU_UNSEEN not in self.unseen:
                    self.unseen = (*self.unseen, _LFU_UNSEEN)
                if (witness := self._witness(row, now, first=first)) is not None:
                    yield witness
        self._require_whole(source)

    def _require_whole(self, source: RedisSource) -> None:
        reading = source.reading
        if reading.refused or reading.unreadable:
            count = reading.refused + sum(reading.unreadable.values())
            raise StoreError(
                f"{self.label}: {count} keys were listed and cannot be read (no access, or a value that the codec does not fit), so "
                "whether they are new is unknown. Grant the key pattern to the verifier's ACL user, or correct the codec."
            )

    def _witness(self, row: Row, now: datetime, *, first: bool) -> Witness | None:
        key, ttl, idle_s = str(row["_key"]), row["_ttl_ms"], row["_idle_s"]
        before = self._known.get(key)
        self._known[key] = (ttl, idle_s)
        if before is None and first:
            if idle_s is None or not self._idle_counts:
                return None
            accessed_at = now - timedelta(seconds=idle_s + 1)
            how = f"last accessed {idle_s} s ago (OBJECT IDLETIME)"
            return Witness(operation="write", key=key, row=row, how=how, written_at=accessed_at)
        if before is None:
            how = "it appeared or was renewed during the observation"
        else:
            old_ttl, old_idle_s = before
            if ttl is not None and (old_ttl is None or ttl > old_ttl):
                how = "it appeared or was renewed during the observation"
            elif self._accessed(idle_s, old_idle_s):
                how = "it was accessed during the observation (OBJECT IDLETIME)"
            else:
                return None
        return Witness(operation="write", key=key, row=row, how=how, written_at=now)

    def _accessed(self, idle_s: int | None, old_idle_s: int | None) -> bool:
        """Whether an idle time became shorter by more than its resolution of a second."""
        return self._idle_counts and idle_s is not None and old_idle_s is not None and idle_s < old_idle_s - 1
