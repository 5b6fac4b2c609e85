"""Absence proofs over Redis channels: each technique finds what it can, and its limitations are reported."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.processes.deadline import Deadline
from fixtures.stack.stack import Stack
from tests.verifier.stores.nights import known_by
from tests.verifier.stores.redis.world import CHANNEL, COUNTED, KEYS, TAPPED, Act, RedisWorld
from verifier.model.verdict import Verdict
from verifier.profile.relations import Channel, Relation
from verifier.stores.errors import Denied
from verifier.stores.redis.channels import ChannelObserver

pytestmark = [pytest.mark.long, pytest.mark.anyio]


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
async def test_a_publish_is_found_by_counter_and_tap(redis_world: RedisWorld, how: str) -> None:
    """Between two nights only the counter shows it; during the observation the tap hears it."""
    async with redis_world.nights(CHANNEL) as nights:
        counted = await redis_world.before(nights, PUBLISHES[how])
        await nights.baseline()
        tapped = await redis_world.during(nights, PUBLISHES[how])
    assert counted.verdict is Verdict.VIOLATED
    assert COUNTED in " ".join(known_by(counted))
    assert TAPPED in " ".join(known_by(tapped))


async def test_sharded_publishes_that_a_tap_may_not_hear_are_said(redis_world: RedisWorld) -> None:
    """Without SSUBSCRIBE the tap hears plain publishes only."""
    user = redis_world.grant.verifier.split("//")[1].split(":")[0]
    async with redis_world.client() as client, redis_world.store() as store:
        await client.execute_command("ACL", "SETUSER", user, "-ssubscribe")
        observer = ChannelObserver(store, CHANNEL)
        assert [item async for item in observer.watch(0.2)] == []
    assert any("SSUBSCRIBE is not granted" in text for text in observer.unseen)


async def test_silence_holds_on_a_busy_server(redis_world: RedisWorld) -> None:
    """Other commands and the verifier's own subscriptions are not publishes."""
    async with redis_world.nights(CHANNEL) as nights:
        quiet = await redis_world.before(nights, lambda client: client.set("x", 1), lambda client: client.ping())
        again = await redis_world.during(nights, lambda client: client.hset("h", "f", 1))
    assert (quiet.verdict, again.verdict) == (Verdict.HOLDS, Verdict.HOLDS), (quiet, again)


async def test_on_a_shared_server_only_the_tap_finds_publishes(redis_world: RedisWorld) -> None:
    """Publishes to other channels move the same counter; those between two observations are a limitation."""
    async with redis_world.nights(CHANNEL) as nights:
        nights.target, nights.neighbours = CHANNEL.model_copy(update={"only_channel": False}), frozenset({"others"})
        other = await redis_world.during(nights, lambda client: client.publish("other", "x"))
        ours = await redis_world.during(nights, PUBLISHES["plain"])
    assert other.verdict is Verdict.HOLDS
    assert "a publish outside the observation window" in other.coverage[0].unseen
    assert ours.verdict is Verdict.VIOLATED


async def test_a_reset_of_the_statistics_is_inconclusive_once(redis_world: RedisWorld) -> None:
    """Also where the counters have exceeded their old values since; the next night holds again."""
    async with redis_world.nights(CHANNEL) as nights:

        async def publish_and_reset(client: Any) -> None:
            await client.publish(NAME, "x")
            await client.config_resetstat()
            for _ in range(200):
                await client.ping()

        first, second = await redis_world.before(nights, publish_and_reset), await nights.night()
        third = await redis_world.before(nights, lambda client: client.config_resetstat())
        fourth = await redis_world.before(nights, PUBLISHES["plain"])
    assert [item.verdict for item in (first, second, third)] == [
        Verdict.INCONCLUSIVE,
        Verdict.HOLDS,
        Verdict.INCONCLUSIVE,
    ]
    assert "command statistics" in first.reason
    assert fourth.verdict is Verdict.VIOLATED


async def test_a_second_reset_on_a_busy_server_is_found(redis_world: RedisWorld) -> None:
    """The sum of all calls has exceeded its old value, and RESETSTAT counts itself once each time: a rare command shows
    it."""
    async with redis_world.client() as admin:
        await admin.config_resetstat()
        await admin.dbsize()
        async with redis_world.nights(CHANNEL) as nights:

            async def reset_and_work(client: Any) -> None:
                await client.publish(NAME, "x")
                await client.config_resetstat()
                for _ in range(300):
                    await client.ping()

            first, second = await redis_world.before(nights, reset_and_work), await nights.night()
    assert first.verdict is Verdict.INCONCLUSIVE
    assert "went back" in first.reason
    assert second.verdict is Verdict.HOLDS


async def test_events_during_the_last_scan_are_found(redis_world: RedisWorld) -> None:
    """Events that come while the last scan runs belong to the observation."""
    async with redis_world.client() as admin, redis_world.nights(KEYS) as nights:
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


async def test_other_names_are_a_limitation(redis_world: RedisWorld) -> None:
    """Presence in the value of another key is not seen, with events or without."""
    async with redis_world.client() as admin:
        for events in ("", "KA"):
            await admin.config_set("notify-keyspace-events", events)
            async with redis_world.nights(KEYS) as nights:
                judgement = await redis_world.during(nights, lambda client: client.set("session:1", "presence=online"))
            assert judgement.verdict is Verdict.HOLDS
            assert any("a value of another key" in text for text in judgement.coverage[0].unseen)
        await admin.config_set("notify-keyspace-events", "")


async def test_without_info_the_night_is_an_error(redis_world: RedisWorld) -> None:
    """Without INFO neither counters nor the server's identity are known."""
    user = redis_world.grant.verifier.split("//")[1].split(":")[0]
    async with redis_world.nights(CHANNEL) as nights, redis_world.client() as admin:
        await admin.execute_command("ACL", "SETUSER", user, "-info")
        with pytest.raises(Denied, match="no permissions"):
            await nights.night()


async def test_restart_and_crash_are_lost_continuity(redis_world: RedisWorld) -> None:
    """A new process counts from zero: inconclusive once, for channels and keys."""
    admin = redis_world.grant.admin  # users that were made at run time end with the process
    marks: list[dict[str, Any]] = []
    targets: tuple[Channel | Relation, ...] = (CHANNEL, KEYS)
    for target in targets:
        async with redis_world.nights(target, url=admin) as nights:
            marks.append(nights.marks)
    redis_world.server.kill9()
    redis_world.server.restart(Deadline(20))
    first, second = [], []
    for target, remembered in zip(targets, marks, strict=True):
        async with redis_world.nights(target, url=admin) as nights:
            nights.marks = remembered
            first.append(await nights.night())
            second.append(await nights.night())
    assert all(item.verdict is Verdict.INCONCLUSIVE and "server run" in item.reason for item in first), first
    assert all(item.verdict is Verdict.HOLDS for item in second), second


async def test_a_replica_has_no_counters(redis_world: RedisWorld, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that becomes a replica is the same process with other counters. Its tap hears what the master
    replicates."""
    with Stack.start(tmp_path_factory.mktemp("master"), only={"redis"}) as stack:
        password = stack.redis.admin_url.split(":")[2].partition("@")[0]
        async with redis_world.nights(CHANNEL) as nights, redis_world.client() as admin:
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
