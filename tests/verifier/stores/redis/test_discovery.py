"""A role may be a cluster or a master behind Sentinel: every proof sees every shard, and a failover is never silent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fixtures.services.redis_cluster import RedisCluster
from fixtures.services.redis_sentinel import MASTER_NAME, RedisSentinel
from tests.verifier.stores.nights import Nights
from tests.verifier.stores.redis.reading import connected, read, source_of
from tests.verifier.stores.redis.world import CHANNEL, KEYS
from verifier.model.verdict import Judgement, Verdict
from verifier.profile.relations import Channel, Relation
from verifier.proofs.absence.proof import Absence
from verifier.stores.errors import Forbidden, PartialAnswer, StoreError
from verifier.stores.redis.channels import ChannelObserver
from verifier.stores.redis.listing import subscribers
from verifier.stores.redis.observer import KeysObserver
from verifier.stores.redis.store import RedisStore

pytestmark = [pytest.mark.long, pytest.mark.anyio]

USERS = [f"u{number}" for number in range(40)]
OBSERVE_S = 1.0


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> None:
    """No keys, where the test uses the cluster."""
    if "cluster" in request.fixturenames:
        cluster: RedisCluster = request.getfixturevalue("cluster")
        for node in cluster.nodes:
            with cluster.client(node) as client:
                if str(client.info("replication")["role"]) == "master":
                    client.flushall()


def nights_of(store: RedisStore, target: Channel | Relation) -> Nights:
    """An absence proof over a channel or a key pattern."""
    if isinstance(target, Channel):
        proof = Absence(target="chat", kind="channel", operations=frozenset({"publish"}))
        return Nights(proof, ChannelObserver(store, target), target, store)
    proof = Absence(target="presence", operations=frozenset({"insert"}))
    return Nights(proof, KeysObserver(store, target), target, store)


async def during(nights: Nights, act: Any) -> Judgement:
    """The judgement of a night in whose observation something happens."""
    nights.observe_s = OBSERVE_S
    judging = asyncio.create_task(nights.night())
    await asyncio.sleep(OBSERVE_S / 2)
    act()
    return await judging


async def test_a_scan_and_a_lookup_reach_every_shard(cluster: RedisCluster) -> None:
    """All keys are read, each is found again by its key, and nothing is said to be hidden."""
    with cluster.writer() as writer:
        for user in USERS:
            writer.set(f"im:token:{user}", f"token of {user}")
    async with connected(cluster.url, mode="cluster") as store:
        source = source_of(store, "token")
        found, said = await read(source)
        again = await source.lookup("user_id", [*USERS, "nobody"])
    assert found == sorted(USERS)
    assert {row["user_id"]: row["token"] for row in again} == {user: f"token of {user}" for user in USERS}
    assert said.hidden == ()


async def test_a_node_of_a_cluster_is_refused_as_a_single_server(cluster: RedisCluster) -> None:
    """It has a part of the keys only."""
    with pytest.raises(StoreError, match="mode = 'cluster'"):
        async with connected(cluster.url.partition(",")[0]):
            pass


async def test_commands_that_write_are_refused_on_every_node(cluster: RedisCluster) -> None:
    """The list of allowed commands holds on each connection."""
    async with connected(cluster.url, mode="cluster") as store:
        for node in (await store.layout()).listening:
            with pytest.raises(Forbidden):
                await node.send("SET", "a", "b")
        assert {item.state for item in await store.privileges()} == {"ok"}
        assert "4 servers" in await store.version()


async def test_slots_that_move_are_hidden_and_their_keys_unanswered(cluster: RedisCluster) -> None:
    """A key of a slot under way is found or unanswered, never absent."""
    with cluster.writer() as writer:
        writer.set("im:token:{a}", "1")
        slot = writer.keyslot("im:token:{a}")
    source_node, target = cluster.owner(slot), next(n for n in cluster.primaries if n is not cluster.owner(slot))
    cluster.begin_move(slot, source_node, target)
    try:
        async with connected(cluster.url, mode="cluster") as store:
            source = source_of(store, "token")
            _, said = await read(source)
            with pytest.raises(PartialAnswer) as partial:
                await source.lookup("user_id", ["{a}gone", "{a}"])
    finally:
        cluster.cancel_move(slot, source_node, target)
    assert any("moving slots" in text for text in said.hidden)
    assert list(partial.value.unanswered) == ["{a}gone"]
    assert [row["token"] for row in partial.value.rows] == ["1"]


async def test_a_publish_on_any_node_is_found_once(cluster: RedisCluster) -> None:
    """Plain and sharded, heard by taps, and between two nights by the counters of all servers."""
    slot_owner = cluster.owner(_slot(cluster, CHANNEL.name))
    acts: list[Any] = [lambda node=node: _send(cluster, node, "PUBLISH") for node in cluster.nodes]
    acts.append(lambda: _send(cluster, slot_owner, "SPUBLISH"))
    async with connected(cluster.url, mode="cluster") as store:
        nights = nights_of(store, CHANNEL)
        nights.target = CHANNEL.model_copy(update={"only_channel": False})
        nights.neighbours = frozenset({"others"})
        await nights.baseline()
        heard = [await during(nights, act) for act in acts]
        counted = nights_of(store, CHANNEL)
        await counted.baseline()
        quiet = await counted.night()
        _send(cluster, cluster.replicas[0], "PUBLISH")
        loud = await counted.night()
    assert [(item.verdict, item.findings_total) for item in heard] == [(Verdict.VIOLATED, 1)] * 5
    assert quiet.verdict is Verdict.HOLDS
    assert loud.verdict is Verdict.VIOLATED


async def test_listeners_on_every_node_are_listed(cluster: RedisCluster) -> None:
    """A client may listen on any server, replicas included."""
    async with connected(cluster.url, mode="cluster") as store:
        assert await subscribers(store, CHANNEL.name) == []
        with cluster.client(cluster.replicas[0]) as client:
            raw: Any = client
            listener = raw.pubsub()
            listener.subscribe(CHANNEL.name)
            listener.get_message(timeout=1)
            found = await subscribers(store, CHANNEL.name)
            listener.close()
    assert [item.name for item in found if item.kind == "subscriber"] == [f"exactly {CHANNEL.name}"]


async def test_presence_on_any_shard_is_found(cluster: RedisCluster) -> None:
    """By scans, and by the keyspace events of the node that has the key."""
    for users, events in ((("a", "b", "c"), ""), (("d", "e", "f"), "KA")):
        for node in cluster.primaries:
            with cluster.client(node) as client:
                client.config_set("notify-keyspace-events", events)
        async with connected(cluster.url, mode="cluster") as store:
            nights = nights_of(store, KEYS)
            await nights.baseline()

            def write(users: tuple[str, ...] = users, events: str = events) -> None:
                with cluster.writer() as writer:
                    for user in users:
                        writer.set(f"presence:{user}", 1, px=30 if events else 60_000)

            judgement = await during(nights, write)
        keys = " ".join(str(finding.actual) for finding in judgement.findings)
        assert judgement.verdict is Verdict.VIOLATED
        assert all(f"presence:{user}" in keys for user in users), keys


async def test_a_failover_breaks_continuity_with_its_reason(cluster: RedisCluster) -> None:
    """The counters of another server are other counters: inconclusive once, then it holds again."""
    async with connected(cluster.url, mode="cluster") as store:
        both = [nights_of(store, target) for target in (CHANNEL, KEYS)]
        for nights in both:
            await nights.baseline()
        cluster.fail_over(cluster.replicas[0])
        cluster.wait(cluster.settled, "the cluster did not settle")
        first = [await nights.night() for nights in both]
        second = [await nights.night() for nights in both]
        found, said = await read(source_of(store))
    cluster.fail_over(cluster.primaries[0])
    cluster.wait(cluster.settled, "the cluster did not settle")
    assert [item.verdict for item in first] == [Verdict.INCONCLUSIVE] * 2
    assert all("shards of the cluster" in item.reason for item in first)
    assert [item.verdict for item in second] == [Verdict.HOLDS] * 2, second
    assert (found, said.hidden) == ([], ())


async def test_a_dead_shard_is_hidden(cluster: RedisCluster) -> None:
    """Keys of a primary that does not answer are unknown, not absent."""
    lost = cluster.primaries[1]
    lost.process.pause()
    try:
        cluster.wait(lambda: "fail" in cluster.state_of(lost).split(","), "the node was not noticed")
        async with connected(cluster.url, mode="cluster", connect_timeout_s=1, operation_timeout_s=2) as store:
            source = source_of(store)
            _, said = await read(source)
            with pytest.raises(StoreError, match="slot"):
                await source.lookup("user_id", USERS)
    finally:
        lost.process.resume()
        cluster.wait(cluster.settled, "the cluster did not settle")
    assert any("is down" in text for text in said.hidden)
    assert any("has the slots" in text for text in said.hidden)


def _slot(cluster: RedisCluster, name: str) -> int:
    with cluster.writer() as writer:
        return int(writer.keyslot(name))


def _send(cluster: RedisCluster, node: Any, command: str) -> None:
    with cluster.client(node) as client:
        raw: Any = client
        raw.execute_command(command, CHANNEL.name, "x")


def _settings(sentinel: RedisSentinel) -> dict[str, Any]:
    return {"mode": "sentinel", "sentinel_master": MASTER_NAME, "sentinel_password": sentinel.sentinel_password}


async def test_sentinel_leads_to_the_master_also_after_a_failover(sentinel: RedisSentinel) -> None:
    """The keys of the present master are read; continuity breaks once; nothing is hidden afterwards."""
    with sentinel.client(sentinel.master_port) as client:
        client.set("im:token:a", "1")
    async with connected(sentinel.url, **_settings(sentinel)) as store:
        before = await read(source_of(store))
        nights = nights_of(store, CHANNEL)
        await nights.baseline()
        quiet = await nights.night()
        sentinel.fail_over()
        lost = await nights.night()
        with sentinel.client(sentinel.master_port) as client:
            client.set("im:token:b", "1")
        after, said = await read(source_of(store))
        found = await source_of(store).lookup("user_id", ["b"])
    assert before[0] == ["a"]
    assert quiet.verdict is Verdict.HOLDS
    assert lost.verdict is Verdict.INCONCLUSIVE
    assert "master that Sentinel names" in lost.reason
    assert after == ["a", "b"]
    assert said.hidden == ()
    assert len(found) == 1


async def test_a_failover_during_a_reading_is_hidden(sentinel: RedisSentinel) -> None:
    """What was read came from a server that is no longer the master."""
    with sentinel.client(sentinel.master_port) as client:
        client.mset({f"im:token:{number}": 1 for number in range(300)})
    async with connected(sentinel.url, **_settings(sentinel), chunk_rows=50) as store:
        source = source_of(store)
        chunks = source.chunks()
        await anext(chunks)
        sentinel.fail_over()
        said = None
        try:
            async for _ in chunks:
                pass
            said = await source.completeness()
        except StoreError:
            pass  # the old master broke the connection, which is as good
    assert said is None or any("failover" in text for text in said.hidden)


async def test_wrong_modes_are_errors(sentinel: RedisSentinel) -> None:
    """A Sentinel has no keys; a replica may lack some; a wrong name leads nowhere. No message has a password."""
    messages = []
    for url, settings in (
        (sentinel.url, {}),
        (sentinel.url, {**_settings(sentinel), "sentinel_master": "other"}),
        (sentinel.url, {"mode": "cluster"}),
    ):
        with pytest.raises(StoreError) as raised:
            async with connected(url, **settings):
                pass
        messages.append(str(raised.value))
    assert "knows no master called 'other'" in messages[1]
    assert not any(sentinel.sentinel_password in text for text in messages)


async def test_a_replica_is_hidden_unless_it_is_meant(sentinel: RedisSentinel) -> None:
    """With `mode = "replica"` it is read; where it has lost its master, its keys are old in every mode."""
    sentinel.wait(sentinel.settled, "the servers did not settle after the last failover")
    master = sentinel.master_port
    replica = next(port for port in sentinel.ports if port != master)
    url = sentinel.url.rpartition("@")[0] + f"@127.0.0.1:{replica}/0"
    said = {}
    for mode in ("single", "replica"):
        async with connected(url, mode=mode) as store:
            _, said[mode] = await read(source_of(store))
    sentinel.stop()
    sentinel.servers[replica].start()
    sentinel.wait(lambda: sentinel.answers(replica), "the replica did not come back")
    async with connected(url, mode="replica") as store:
        _, lost = await read(source_of(store))
    assert any("is a replica" in text for text in said["single"].hidden)
    assert said["replica"].hidden == ()
    assert any("link to its master is down" in text for text in lost.hidden)
