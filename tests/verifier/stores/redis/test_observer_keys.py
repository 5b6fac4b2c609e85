"""Absence proofs over Redis keys: scans and events find what they can, and their limitations are reported."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.verifier.stores.nights import known_by
from tests.verifier.stores.redis.world import KEYS, OBSERVE_S, SCANNED, TOKENS, Act, RedisWorld
from verifier.model.query import Rows
from verifier.model.verdict import Verdict
from verifier.proofs.absence.proof import Absence
from verifier.stores.errors import StoreError

pytestmark = [pytest.mark.long, pytest.mark.anyio]


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
async def test_a_key_is_found_during_and_after_its_write(redis_world: RedisWorld, how: str) -> None:
    """A scan finds it during the observation; in the next night its idle time shows access."""
    async with redis_world.nights(KEYS) as nights:
        seen = await redis_world.during(nights, WRITES[how])
        found = await nights.night()
    assert SCANNED in " ".join(known_by(seen))
    assert "OBJECT IDLETIME" in " ".join(known_by(found))


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
async def test_what_scans_miss_is_found_by_events_or_a_limitation(
    redis_world: RedisWorld, how: str, events: str
) -> None:
    """With keyspace events it is found, also where CONFIG GET is not granted; without them the coverage has the
    limitation."""
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
        await admin.config_set("notify-keyspace-events", events)
        try:
            judgement = await redis_world.during(nights, BRIEF[how])
        finally:
            await admin.config_set("notify-keyspace-events", "")
    if "K" in events:
        assert judgement.verdict is Verdict.VIOLATED
        assert "keyspace event" in " ".join(known_by(judgement))
    else:
        assert judgement.verdict is Verdict.HOLDS
        unseen = " ".join(judgement.coverage[0].unseen)
        assert "shorter than" in unseen


@pytest.mark.parametrize(("events", "all_heard"), [("KA", True), ("Kg$lshzt", True), ("K$", False), ("", False)])
async def test_silence_of_events_needs_all_classes(redis_world: RedisWorld, events: str, all_heard: bool) -> None:
    """CONFIG GET shows which classes the server sends; without `h` a write to a hash sends no event."""
    user = redis_world.grant.verifier.split("//")[1].split(":")[0]
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
        await admin.execute_command("ACL", "SETUSER", user, "+config|get")
        await admin.config_set("notify-keyspace-events", events)
        try:
            judgement = await nights.night()
        finally:
            await admin.config_set("notify-keyspace-events", "")
    assert judgement.verdict is Verdict.HOLDS
    assert ("shorter than" not in " ".join(judgement.coverage[0].unseen)) is all_heard


async def test_removals_and_other_keys_are_not_writes(redis_world: RedisWorld) -> None:
    """A key that is removed, expires or does not match the pattern is not a finding, with events or without."""
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
        await admin.set("presence:old", 1, px=400)
        await admin.set("presence:older", 1)
        await asyncio.sleep(0.2)
        nights.proof = Absence(target="presence", operations=frozenset({"insert"}))
        await admin.config_set("notify-keyspace-events", "KEA")

        async def remove(client: Any) -> None:
            await client.delete("presence:older")
            await client.set("absence:bob", 1)

        try:
            judgement = await redis_world.during(nights, remove)
        finally:
            await admin.config_set("notify-keyspace-events", "")
    # Both were written after the phase began, and say so by their idle times; nothing else is known.
    assert all("OBJECT IDLETIME" in how for how in known_by(judgement)), known_by(judgement)


async def test_own_reads_do_not_change_idle_times(redis_world: RedisWorld) -> None:
    """Idle times grow while values are read over every connection of the pool."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.mset({f"presence:{number}": number for number in range(50)})
        await asyncio.sleep(2.2)
        names = ("user_id",)
        sources = [store.source(TOKENS, Rows("presence", names)) for _ in range(8)]

        async def read(source: Any) -> int:
            return sum([len(chunk) async for chunk in source.chunks()])

        assert await asyncio.gather(*map(read, sources)) == [50] * 8
        idle = [await admin.object("IDLETIME", f"presence:{number}") for number in range(50)]
    assert min(idle) >= 1


async def test_missing_idle_times_are_a_limitation(redis_world: RedisWorld) -> None:
    """With an LFU policy, an existing key does not show when it was written."""
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
        await admin.config_set("maxmemory-policy", "allkeys-lfu")
        try:
            await admin.set("presence:bob", 1)
            judgement = await nights.night()
        finally:
            await admin.config_set("maxmemory-policy", "noeviction")
    assert judgement.verdict is Verdict.HOLDS
    assert any("LFU" in text for text in judgement.coverage[0].unseen)


async def _in_index(world: RedisWorld, index: int, act: Act) -> None:
    async with world.client(world.grant.admin.rpartition("/")[0] + f"/{index}") as client:
        await act(client)


JAVA = b"\xac\xed\x00\x05t\x00\x0cpresence:bob"
PLACES: dict[str, Act] = {
    "another index": lambda client: client.set("presence:bob", 1),
    "a serialiser's prefix": lambda client: client.set(JAVA, 1),
    "a namespace": lambda client: client.set("app1:presence:bob", 1),
    "a quoted key": lambda client: client.set('"presence:bob"', 1),
    "one hash for all": lambda client: client.hset("presence", "bob", "online"),
    "one set for all": lambda client: client.sadd("presence", "bob"),
}


@pytest.mark.parametrize("events", ["", "KA"])
@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("where", PLACES)
async def test_presence_elsewhere_is_found_unless_it_is_foreign(
    redis_world: RedisWorld, where: str, foreign: bool, events: str
) -> None:
    """In another index, behind prefixes, under one key: a finding with its place; keys of `foreign_keys` are none."""
    index = 410 if where == "another index" else int(redis_world.grant.admin.rpartition("/")[2])
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
        nights.store.foreign_keys = ("db410:*", "*presence*") if foreign else ()
        await admin.config_set("notify-keyspace-events", events)

        async def write(_client: Any) -> None:
            await _in_index(redis_world, index, PLACES[where])

        try:
            judgement = await redis_world.during(nights, write)
        finally:
            await admin.config_set("notify-keyspace-events", "")
            await _in_index(redis_world, 410, lambda client: client.flushdb())
    assert judgement.verdict is (Verdict.HOLDS if foreign else Verdict.VIOLATED)
    if where == "another index" and not foreign:
        assert "db410:presence:bob" in str(judgement.findings[0].actual)


STATES: dict[str, tuple[Act, Verdict]] = {
    "set to online": (lambda client: client.hset("presence:bob", "status", "online"), Verdict.VIOLATED),
    "set to offline": (lambda client: client.hset("presence:bob", "status", "offline"), Verdict.HOLDS),
    "another field": (lambda client: client.hset("presence:bob", "seen", "now"), Verdict.HOLDS),
    "a new one online": (lambda client: client.hset("presence:eve", "status", "online"), Verdict.VIOLATED),
    "a new one offline": (lambda client: client.hset("presence:eve", "status", "offline"), Verdict.HOLDS),
}


@pytest.mark.parametrize("events", ["", "KA"])
@pytest.mark.parametrize("how", STATES)
async def test_a_state_says_what_counts(redis_world: RedisWorld, how: str, events: str) -> None:
    """With `where`, an update that sets the state is presence; other writes to the same keys are not."""
    relation = KEYS.model_copy(update={"where": {"status": "online"}, "codec": "hash"})
    act, expected = STATES[how]
    async with redis_world.client() as admin:
        await admin.hset("presence:bob", "status", "offline")
        await admin.config_set("notify-keyspace-events", events)
        try:
            async with redis_world.nights(relation) as nights:
                judgement = await redis_world.during(nights, act)
        finally:
            await admin.config_set("notify-keyspace-events", "")
    assert judgement.verdict is expected


async def test_an_old_key_that_is_written_again_is_found(redis_world: RedisWorld) -> None:
    """Without a TTL its idle time alone shows it."""
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
        await admin.set("model", 1)
        await admin.restore("presence:bob", 0, await admin.dump("model"), idletime=40 * 86_400)
        observer: Any = nights.observer
        known_by: list[str] = []
        async for witness in observer.watch(OBSERVE_S):
            if not known_by:
                await admin.set("presence:bob", 2, keepttl=True)
            known_by.append(witness.how)
    assert [how.partition(" ")[0] for how in known_by] == ["last", "it"]
    assert "accessed during the observation" in known_by[1]


async def test_keys_that_the_acl_hides_prove_nothing(redis_world: RedisWorld) -> None:
    """They are there, and whether they are new cannot be known."""
    user = redis_world.grant.verifier.split("//")[1].split(":")[0]
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
        await admin.execute_command("ACL", "SETUSER", user, "resetkeys", "%R~im:*")
        await admin.set("presence:bob", 1)
        with pytest.raises(StoreError, match="key pattern"):
            await nights.night()
