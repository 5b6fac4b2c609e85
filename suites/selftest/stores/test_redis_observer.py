"""Redis: publishes and keys are told as far as each technique reaches, and what lies beyond is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis.asyncio
from pydantic import SecretStr

from fixtures.deadline import Deadline
from fixtures.services.redis import Redis, RedisGrant
from fixtures.stack import Stack
from suites.selftest.stores.absence_nights import Nights, told
from verifier.profile.relations import Channel, Relation
from verifier.profile.roles import RedisRole
from verifier.proofs.absence import Absence
from verifier.query import Rows
from verifier.stores.base import Denied
from verifier.stores.redis import RedisStore
from verifier.stores.redis_listing import subscribers
from verifier.stores.redis_observer import ChannelObserver, KeysObserver
from verifier.verdict import Judgement, Verdict

pytestmark = pytest.mark.anyio

CHANNEL = Channel(role="cache_redis", name="chat:notification", only_channel=True)
KEYS = Relation.model_validate(
    {"role": "cache_redis", "keys": "presence:{user_id}", "key": "user_id", "columns": {"user_id": "{user_id}"}}
)
TOKENS = Relation.model_validate(
    {"role": "cache_redis", "keys": "presence:{user_id}", "key": "user_id", "columns": {"user_id": "@value"}}
)
OBSERVE_S = 1.0
COUNTED, TAPPED, SCANNED = "counters of the server", "a subscription of the verifier", "appeared or was renewed"
Act = Callable[[Any], Awaitable[Any]]


class RedisWorld:
    """One database index of a server that no other test uses."""

    def __init__(self, server: Redis, grant: RedisGrant) -> None:
        self.server, self.grant = server, grant

    @contextlib.asynccontextmanager
    async def client(self, url: str | None = None) -> AsyncIterator[Any]:
        """A client with the administrator's rights."""
        client = redis.asyncio.Redis.from_url(url or self.grant.admin)
        try:
            yield client
        finally:
            await client.aclose()

    @contextlib.asynccontextmanager
    async def store(self, url: str | None = None) -> AsyncIterator[RedisStore]:
        """A connected store with the verifier's credential."""
        store = RedisStore("cache_redis", RedisRole(url=SecretStr(url or self.grant.verifier)))
        await store.connect()
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def nights(self, target: Channel | Relation, *, url: str | None = None) -> AsyncIterator[Nights]:
        """An absence proof over a channel or a key pattern, its baseline taken."""
        async with self.store(url) as store:
            if isinstance(target, Channel):
                proof = Absence(target="chat", kind="channel", operations=frozenset({"publish"}))
                nights = Nights(proof, ChannelObserver(store, target), target, store)
            else:
                proof = Absence(target="presence", operations=frozenset({"insert"}))
                nights = Nights(proof, KeysObserver(store, target), target, store)
            await nights.baseline()
            yield nights

    async def during(self, nights: Nights, act: Act) -> Judgement:
        """What a night tells of something that happens in the middle of its observation window."""
        nights.observe_s = OBSERVE_S
        async with self.client() as client:
            judging = asyncio.create_task(nights.night())
            await asyncio.sleep(OBSERVE_S / 3)
            await act(client)
            return await judging

    async def before(self, nights: Nights, *acts: Act) -> Judgement:
        """What a night tells of something that happened before it."""
        async with self.client() as client:
            for act in acts:
                await act(client)
        return await nights.night()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server of its own: statistics are reset, settings changed, the process killed."""
    with Stack.start(tmp_path_factory.mktemp("redis"), only={"redis"}) as stack:
        yield stack.redis


@pytest.fixture
def world(server: Redis) -> Iterator[RedisWorld]:
    """An empty database index."""
    grant = server.open_world("absence")
    try:
        yield RedisWorld(server, grant)
    finally:
        server.close_world("absence")


NAME = CHANNEL.name
LUA = f"return redis.call('PUBLISH', '{NAME}', 'x')"


async def _multi(client: Any) -> None:
    pipeline = client.pipeline(transaction=True)
    pipeline.publish(NAME, "x")
    await pipeline.execute()


PUBLISHES: dict[str, Act] = {
    "plain": lambda client: client.publish(NAME, "x"),
    "sharded": lambda client: client.execute_command("SPUBLISH", NAME, "x"),
    "from Lua": lambda client: client.eval(LUA, 0),
    "in MULTI": _multi,
}


@pytest.mark.parametrize("how", PUBLISHES)
async def test_a_publish_is_told_by_counter_and_by_tap(world: RedisWorld, how: str) -> None:
    """Between two nights nobody listens and only the counter moves; in the window the tap hears it."""
    async with world.nights(CHANNEL) as nights:
        counted = await world.before(nights, PUBLISHES[how])
        await nights.baseline()
        heard = await world.during(nights, PUBLISHES[how])
    assert counted.verdict is Verdict.VIOLATED
    assert COUNTED in " ".join(told(counted))
    assert TAPPED in " ".join(told(heard))


async def test_silence_holds_on_a_busy_server(world: RedisWorld) -> None:
    """Other commands, our own subscriptions and a refused publish are no publish."""
    async with world.nights(CHANNEL) as nights:
        quiet = await world.before(nights, lambda client: client.set("x", 1), lambda client: client.ping())
        again = await world.during(nights, lambda client: client.hset("h", "f", 1))
    assert (quiet.verdict, again.verdict) == (Verdict.HOLDS, Verdict.HOLDS), (quiet, again)


async def test_on_a_shared_server_the_tap_alone_accuses(world: RedisWorld) -> None:
    """Publishes to other channels move the same counter; what came between two windows cannot be told, and that is said."""
    async with world.nights(CHANNEL) as nights:
        nights.target, nights.neighbours = CHANNEL.model_copy(update={"only_channel": False}), frozenset({"others"})
        other = await world.during(nights, lambda client: client.publish("other", "x"))
        ours = await world.during(nights, PUBLISHES["plain"])
    assert other.verdict is Verdict.HOLDS
    assert "a publish outside the observation window" in other.coverage[0].unseen
    assert ours.verdict is Verdict.VIOLATED


async def test_a_reset_of_the_statistics_is_admitted(world: RedisWorld) -> None:
    """CONFIG RESETSTAT, also when the counters have grown beyond their old values since; then the next night holds again."""
    async with world.nights(CHANNEL) as nights:

        async def publish_and_reset(client: Any) -> None:
            await client.publish(NAME, "x")
            await client.config_resetstat()
            for _ in range(200):
                await client.ping()

        first, second = await world.before(nights, publish_and_reset), await nights.night()
        third = await world.before(nights, lambda client: client.config_resetstat())
        fourth = await world.before(nights, PUBLISHES["plain"])
    assert [item.verdict for item in (first, second, third)] == [
        Verdict.INCONCLUSIVE,
        Verdict.HOLDS,
        Verdict.INCONCLUSIVE,
    ]
    assert "command statistics" in first.reason
    assert fourth.verdict is Verdict.VIOLATED


async def test_a_busy_server_makes_up_for_a_second_reset(world: RedisWorld) -> None:
    """The sum of all calls has long grown beyond its old value, and RESETSTAT counts itself once each time: a rare command tells."""
    async with world.client() as admin:
        await admin.config_resetstat()
        await admin.dbsize()
        async with world.nights(CHANNEL) as nights:

            async def reset_and_work(client: Any) -> None:
                await client.publish(NAME, "x")
                await client.config_resetstat()
                for _ in range(300):
                    await client.ping()

            first, second = await world.before(nights, reset_and_work), await nights.night()
    assert first.verdict is Verdict.INCONCLUSIVE
    assert "went back" in first.reason
    assert second.verdict is Verdict.HOLDS


async def test_what_happens_during_the_last_scan_is_heard(world: RedisWorld) -> None:
    """Events that come while the last scan still runs belong to the window, and are read before it closes."""
    async with world.client() as admin, world.nights(KEYS) as nights:
        await admin.config_set("notify-keyspace-events", "KA")
        await admin.set("presence:alice", 1)
        observer: Any = nights.observer
        seen: list[str] = []
        async for witness in observer.watch(0.0):
            if not seen:  # the only scan is under way
                await admin.set("presence:bob", 1, px=30)
            seen.append(witness.key)
        await admin.config_set("notify-keyspace-events", "")
    assert "presence:bob" in seen


async def test_other_names_are_always_admitted(world: RedisWorld) -> None:
    """Presence in a field of another hash is not seen, with events or without, and the coverage says so."""
    async with world.client() as admin:
        for events in ("", "KA"):
            await admin.config_set("notify-keyspace-events", events)
            async with world.nights(KEYS) as nights:
                judgement = await world.during(nights, lambda client: client.hset("session:1", "presence", "1"))
            assert judgement.verdict is Verdict.HOLDS
            assert any("a field of another hash" in text for text in judgement.coverage[0].unseen)
        await admin.config_set("notify-keyspace-events", "")


async def test_without_info_nothing_is_said(world: RedisWorld) -> None:
    """INFO is not granted: neither the counters nor the server's identity are known, which is an error and no silence."""
    user = world.grant.verifier.split("//")[1].split(":")[0]
    async with world.nights(CHANNEL) as nights, world.client() as admin:
        await admin.execute_command("ACL", "SETUSER", user, "-info")
        with pytest.raises(Denied, match="no permissions"):
            await nights.night()


async def test_restart_and_crash_are_lost_continuity(world: RedisWorld) -> None:
    """Another process counts from zero: inconclusive once, for channels and keys alike, and armed anew."""
    admin = world.grant.admin  # users that were made at run time end with the process
    marks: list[dict[str, Any]] = []
    targets: tuple[Channel | Relation, ...] = (CHANNEL, KEYS)
    for target in targets:
        async with world.nights(target, url=admin) as nights:
            marks.append(nights.marks)
    world.server.kill9()
    world.server.restart(Deadline(20))
    first, second = [], []
    for target, remembered in zip(targets, marks, strict=True):
        async with world.nights(target, url=admin) as nights:
            nights.marks = remembered
            first.append(await nights.night())
            second.append(await nights.night())
    assert all(item.verdict is Verdict.INCONCLUSIVE and "server run" in item.reason for item in first), first
    assert all(item.verdict is Verdict.HOLDS for item in second), second


async def test_a_replica_counts_for_nobody(world: RedisWorld, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Demoted in place: the same process, other counters. Its tap still hears what the master hands on."""
    with Stack.start(tmp_path_factory.mktemp("master"), only={"redis"}) as stack:
        password = stack.redis.admin_url.split(":")[2].partition("@")[0]
        async with world.nights(CHANNEL) as nights, world.client() as admin:
            await admin.config_set("masterauth", password)
            await admin.execute_command("REPLICAOF", stack.redis.host, stack.redis.port)
            try:
                lost, after = await nights.night(), await nights.night()
            finally:
                await admin.execute_command("REPLICAOF", "NO", "ONE")
            promoted = await nights.night()
    assert lost.verdict is promoted.verdict is Verdict.INCONCLUSIVE
    assert "role in replication" in lost.reason
    assert any("replica" in text for text in after.coverage[0].unseen)


LISTENERS: dict[str, tuple[str, str]] = {
    "exactly": ("subscribe", NAME),
    "sharded": ("ssubscribe", NAME),
    "by pattern": ("psubscribe", "chat:*"),
}


@pytest.mark.parametrize("listed", [True, False], ids=["CLIENT LIST granted", "not granted"])
@pytest.mark.parametrize("how", LISTENERS)
async def test_listeners_are_counted_however_they_listen(world: RedisWorld, how: str, listed: bool) -> None:
    """Exact and sharded ones are told; that a pattern takes the channel in is nobody's to know: unreadable, never nobody."""
    user = world.grant.verifier.split("//")[1].split(":")[0]
    async with world.client() as client, client.pubsub() as listener, world.store() as store:
        assert await subscribers(store, NAME) == []
        method, pattern = LISTENERS[how]
        await getattr(listener, method)(pattern)
        await listener.get_message(timeout=1)
        if not listed:
            await client.execute_command("ACL", "SETUSER", user, "-client|list")
        found = await subscribers(store, NAME)
    assert [item.kind for item in found] == ["unreadable" if how == "by pattern" else "subscriber"]


async def _renamed(client: Any) -> None:
    await client.set("draft", 1)
    await client.rename("draft", "presence:bob")


async def _restored(client: Any) -> None:
    await client.set("draft", 1)
    await client.restore("presence:bob", 0, await client.dump("draft"))


WRITES: dict[str, Act] = {
    "set": lambda client: client.set("presence:bob", 1),
    "with a TTL": lambda client: client.set("presence:bob", 1, ex=30),
    "a hash": lambda client: client.hset("presence:bob", "status", "on"),
    "a stream": lambda client: client.xadd("presence:bob", {"a": 1}),
    "a sorted set": lambda client: client.zadd("presence:bob", {"a": 1}),
    "from Lua": lambda client: client.eval("return redis.call('SET', 'presence:bob', 1)", 0),
    "renamed into place": _renamed,
    "restored": _restored,
}


@pytest.mark.parametrize("how", WRITES)
async def test_a_key_is_told_while_and_after_it_is_written(world: RedisWorld, how: str) -> None:
    """A scan finds it in the window; the night after, its idle time tells that somebody touched it."""
    async with world.nights(KEYS) as nights:
        seen = await world.during(nights, WRITES[how])
        found = await nights.night()
    assert SCANNED in " ".join(told(seen))
    assert "OBJECT IDLETIME" in " ".join(told(found))


async def _short(client: Any) -> None:
    await client.set("presence:bob", 1, px=30)


async def _short_elsewhere(client: Any) -> None:
    await client.execute_command("SELECT", 9)
    await client.set("presence:bob", 1)
    await client.delete("presence:bob")
    await client.execute_command("SELECT", 0)


BRIEF: dict[str, Act] = {"30 ms": _short, "another database": _short_elsewhere}


@pytest.mark.parametrize("events", ["", "KEA", "Kg$h", "EA"])
@pytest.mark.parametrize("how", BRIEF)
async def test_what_scans_miss_is_told_by_events_or_admitted(world: RedisWorld, how: str, events: str) -> None:
    """With keyspace events on it is told, also where we may not ask whether they are; without them the coverage says so."""
    async with world.client() as admin, world.nights(KEYS) as nights:
        await admin.config_set("notify-keyspace-events", events)
        try:
            judgement = await world.during(nights, BRIEF[how])
        finally:
            await admin.config_set("notify-keyspace-events", "")
    if "K" in events:
        assert judgement.verdict is Verdict.VIOLATED
        assert "keyspace event" in " ".join(told(judgement))
    else:
        assert judgement.verdict is Verdict.HOLDS
        unseen = " ".join(judgement.coverage[0].unseen)
        assert "shorter than" in unseen
        assert "other database indexes" in unseen


@pytest.mark.parametrize(("events", "all_heard"), [("KA", True), ("Kg$lshzt", True), ("K$", False), ("", False)])
async def test_silence_of_events_counts_only_where_all_are_sent(
    world: RedisWorld, events: str, all_heard: bool
) -> None:
    """CONFIG GET granted, the server says which classes it sends; without `h` a hash would be written in silence."""
    user = world.grant.verifier.split("//")[1].split(":")[0]
    async with world.client() as admin, world.nights(KEYS) as nights:
        await admin.execute_command("ACL", "SETUSER", user, "+config|get")
        await admin.config_set("notify-keyspace-events", events)
        try:
            judgement = await nights.night()
        finally:
            await admin.config_set("notify-keyspace-events", "")
    assert judgement.verdict is Verdict.HOLDS
    assert ("shorter than" not in " ".join(judgement.coverage[0].unseen)) is all_heard


async def test_removals_and_other_keys_are_no_writes(world: RedisWorld) -> None:
    """A key that goes, expires or has nothing to do with the pattern accuses nobody, events or not."""
    async with world.client() as admin, world.nights(KEYS) as nights:
        await admin.set("presence:old", 1, px=400)
        await admin.set("presence:older", 1)
        await asyncio.sleep(0.2)
        nights.proof = Absence(target="presence", operations=frozenset({"insert"}))
        await admin.config_set("notify-keyspace-events", "KEA")

        async def remove(client: Any) -> None:
            await client.delete("presence:older")
            await client.set("absence:bob", 1)

        try:
            judgement = await world.during(nights, remove)
        finally:
            await admin.config_set("notify-keyspace-events", "")
    # Both were written after the phase began, and say so by their idle times; nothing more is told.
    assert all("OBJECT IDLETIME" in how for how in told(judgement)), told(judgement)


async def test_our_reads_touch_nothing(world: RedisWorld) -> None:
    """Idle times go on while values are read over every connection of the pool."""
    async with world.client() as admin, world.store() as store:
        await admin.mset({f"presence:{number}": number for number in range(50)})
        await asyncio.sleep(2.2)
        names = ("user_id",)
        sources = [store.source(TOKENS, Rows("presence", names)) for _ in range(8)]

        async def read(source: Any) -> int:
            return sum([len(chunk) async for chunk in source.chunks()])

        assert await asyncio.gather(*map(read, sources)) == [50] * 8
        idle = [await admin.object("IDLETIME", f"presence:{number}") for number in range(50)]
    assert min(idle) >= 1


async def test_without_idle_times_it_is_said(world: RedisWorld) -> None:
    """An LFU policy keeps none: a key that is there does not say when it was written."""
    async with world.client() as admin, world.nights(KEYS) as nights:
        await admin.config_set("maxmemory-policy", "allkeys-lfu")
        try:
            await admin.set("presence:bob", 1)
            judgement = await nights.night()
        finally:
            await admin.config_set("maxmemory-policy", "noeviction")
    assert judgement.verdict is Verdict.HOLDS
    assert any("LFU" in text for text in judgement.coverage[0].unseen)
