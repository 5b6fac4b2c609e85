"""On real servers: reads leave no trace in Redis, reading resumes after a position, and the statement log is
complete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
import redis.asyncio
from pydantic import SecretStr

from fixtures.faults.edits import put_all
from fixtures.scenarios.small_world import SmallWorld, small_world
from fixtures.stack.profile import write_profile
from fixtures.stack.stack import Stack
from tests.verifier.commands.test_run import ROOT
from verifier.model.query import Rows
from verifier.model.verdict import RunResult
from verifier.profile.relations import Column, Relation
from verifier.profile.roles import PostgresRole, RedisRole
from verifier.stores.builtin.statements import WRITING_WORDS
from verifier.stores.postgres.store import PostgresStore
from verifier.stores.redis.observer import KeysObserver
from verifier.stores.redis.store import RedisStore
from verifier.stores.redis.taps import Tap

pytestmark = [pytest.mark.long, pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[SmallWorld]:
    """A world in which everything holds."""
    with small_world(stack) as world:
        yield world


# -- Redis --


@asynccontextmanager
async def redis_store(url: str) -> AsyncIterator[RedisStore]:
    """A connected store."""
    store = RedisStore("cache_redis", RedisRole(url=SecretStr(url)))
    try:
        await store.connect()
        yield store
    finally:
        await store.close()


PRESENCE = Relation(role="cache_redis", keys="lately:{user_id}", key=("user_id",), columns={"user_id": Column(column="{user_id}"), "value": Column(column="@value")})  # fmt: skip


async def test_no_connection_resets_idle_times(small: SmallWorld) -> None:
    """Every connection of the pool reads without changing the idle times that absence proofs use."""
    urls = small.world.config
    writer = redis.asyncio.Redis.from_url(urls.platform.redis)
    await writer.set("lately:u1", "1", ex=60)
    async with redis_store(urls.verifier.redis) as store:
        assert store.no_touch
        await asyncio.sleep(2.1)
        source = store.source(PRESENCE, Rows("presence", ("user_id", "value")))

        async def read() -> list[Any]:
            return [row async for chunk in source.chunks() for row in chunk]

        rows = await asyncio.gather(*(read() for _ in range(4)))
        assert [row[0]["value"] for row in rows] == ["1"] * 4
        idle = await store.run("OBJECT IDLETIME", store.driver.object("IDLETIME", "lately:u1"))
        assert idle >= 2
        set_up = store.statement_log.reads["CLIENT"]
        clients = await store.run("CLIENT LIST", store.driver.client_list())
        own = [item for item in clients if item["name"] == "openim-verifier"]
        assert all("T" in item["flags"] for item in own), "flag T: the client does not touch"
        assert set_up >= 2 * len(own)
    await writer.delete("lately:u1")
    await writer.aclose()


def acl(admin: redis.Redis, *arguments: str) -> None:
    """One ACL command."""
    admin.execute_command("ACL", *arguments)  # type: ignore[no-untyped-call]


async def test_without_no_touch_idle_times_are_not_used(small: SmallWorld) -> None:
    """Where the server or the ACL does not allow NO-TOUCH, the last access may be the verifier's: a limitation, not a
    finding."""
    config = small.world.config
    admin = redis.Redis.from_url(small.world.admin.redis)
    acl(admin, "SETUSER", "old", "on", ">secret", "~*", "&*", "+@read", "+info", "+time", "+select", "+@pubsub", "+ping", "+hello", "+auth", "+client|setname", "+client|setinfo")  # fmt: skip
    admin.set("lately:u2", "1", ex=60)
    where = urlsplit(config.verifier.redis)
    url = where._replace(netloc=f"old:secret@{where.hostname}:{where.port}").geturl()
    try:
        async with redis_store(url) as store:
            assert not store.no_touch
            without = KeysObserver(store, PRESENCE)
            assert "CLIENT NO-TOUCH" in (await without.read()).limitations[0]
            assert [item async for item in without.watch(0.1)] == []
            bare = KeysObserver(store, PRESENCE.model_copy(update={"columns": {"user_id": Column(column="{user_id}")}}))
            assert (await bare.read()).limitations == ()
            assert len([item async for item in bare.watch(0.1)]) == 1
    finally:
        admin.delete("lately:u2")
        acl(admin, "DELUSER", "old")
        admin.close()


async def test_taps_of_all_roles_are_left_out(small: SmallWorld) -> None:
    """Two roles on one server and two taps on one channel are not listeners."""
    config = small.world.config
    channel = "CHAT_NOTIFICATION"
    async with (
        redis_store(config.verifier.redis) as one,
        redis_store(config.verifier.redis) as other,
        one.pubsub() as first,
        other.pubsub() as second,
    ):
        nodes = [(await store.layout()).listening[0] for store in (one, other)]
        taps = [Tap(node, subscriber, channel) for node, subscriber in zip(nodes, (first, second), strict=True)]
        for tap in taps:
            await tap.begin()
        try:
            assert await one.listing(f"subscribers:{channel}") == []
            assert await other.listing(f"subscribers:{channel}") == []
        finally:
            for tap in taps:
                await tap.end()


# -- PostgreSQL --


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("uuid", "('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid"),
        ("bigint", "n"),
        ("text", "'key ''' || n"),
        ("timestamptz", "'2026-01-01'::timestamptz + n * interval '1 second'"),
        ("numeric", "n / 7.0"),
    ],
)
async def test_reading_resumes_after_a_position_of_any_type(stack: Stack, kind: str, values: str) -> None:
    """A position as text continues exactly after the chunk, also for keys of two columns."""
    url = stack.postgres.admin_url
    table = f"places_{kind}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (a {kind}, b int)")
        insert = f"INSERT INTO {table} SELECT {values}, m FROM generate_series(1, 40) n, generate_series(1, 2) m"  # noqa: S608 - ours
        connection.execute(insert)
    relation = Relation(role="user_db", table=table, key=("a", "b"), columns={"a": Column(column="a"), "b": Column(column="b", type="integer")})  # fmt: skip
    store = PostgresStore("user_db", PostgresRole(url=SecretStr(url), chunk_rows=7))
    try:
        await store.connect()
        whole = [tuple(row.values()) async for chunk in store.source(relation, Rows("r")).chunks() for row in chunk]
        assert len(whole) == 80
        for stop in (1, 3):
            first, read = store.source(relation, Rows("r")), []
            async for chunk in first.chunks():
                read += [tuple(row.values()) for row in chunk]
                stop -= 1
                if not stop:
                    break
            assert first.position is not None
            rest = store.source(relation, Rows("r")).chunks(first.position)
            read += [tuple(row.values()) async for chunk in rest for row in chunk]
            assert read == whole
    finally:
        await store.close()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP TABLE {table}")


# -- the audit log --


def _run(small: SmallWorld, tmp_path: Path, *arguments: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    import os
    import subprocess
    import sys

    text = put_all({"history": str(tmp_path / "history.db")})(small.text())
    profile = write_profile(small.world.config, text, "audited.toml")
    command = [
        sys.executable,
        "-c",
        "from verifier.commands.cli import main; main()",
        "run",
        "-q",
        "--profile",
        str(profile),
    ]
    command += ["--json", str(tmp_path / "run.json"), "--audit", str(tmp_path / "audit.jsonl"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, timeout=120, check=False, cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    return json.loads((tmp_path / "run.json").read_text()), lines


def test_the_statement_log_is_complete(small: SmallWorld, tmp_path: Path) -> None:
    """Its entries add up to what the servers counted; none writes, and none has a value of the stack."""
    admin = redis.Redis.from_url(small.world.admin.redis)
    before = _commands(admin)
    document, lines = _run(small, tmp_path)
    counted = {name: count - before.get(name, 0) for name, count in _commands(admin).items()}
    admin.close()
    assert lines[0]["run_id"] == document["run_id"]
    stores = {line["store"]: line for line in lines[1:] if "statement" not in line}
    for name, line in stores.items():
        of_store = [item for item in lines if item.get("store") == name and "statement" in item]
        assert sum(item["sent"] for item in of_store) == line["sent"] == document["reads"][name]
        assert {key: line[key] for key in document["footprint"][name]} == document["footprint"][name]
        assert line["rows"] == sum(item["rows"] for item in of_store)
        assert line["refused"] == 0
        assert all(item["statement"].split()[0].upper() not in WRITING_WORDS for item in of_store)
    assert {"user_db", "chat_db", "chat_mongo", "cache_redis", "session_redis", "openim"} <= stores.keys()
    text = (tmp_path / "audit.jsonl").read_text()
    for user in small.population.people[:5]:
        assert str(user.user_id) not in text
    # Two roles share the server; the verifier is alone on it but for the platform's own services.
    sent = {item["statement"].split()[0]: 0 for item in lines if item.get("store", "").endswith("_redis") and "statement" in item}  # fmt: skip
    for item in lines:
        if item.get("store", "").endswith("_redis") and "statement" in item:
            sent[item["statement"].split()[0]] += item["sent"]
    assert counted["scan"] == sent["SCAN"]
    assert counted["time"] == sent["TIME"]
    assert counted["client|no-touch"] >= 2


def _commands(admin: redis.Redis) -> dict[str, int]:
    stats: dict[str, Any] = admin.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(item["calls"]) for name, item in stats.items()}


def test_observers_do_not_move_the_counters_that_they_read(small: SmallWorld) -> None:
    """A run of all checks leaves every counter unchanged."""
    first = {item: value for item, value in _counters(small).items() if value}
    small.judge()
    assert {item: value for item, value in _counters(small).items() if value} == first
    assert first


def _counters(small: SmallWorld) -> dict[str, dict[str, int]]:
    result: RunResult = small.judge()
    assert not result.interrupted
    return {f"{mark.check_id} {mark.slot}": mark.value.get("counters", {}) for mark in small.runs.watermarks()}


def test_a_pause_counts_towards_max_runtime(small: SmallWorld, tmp_path: Path) -> None:
    """While the pause file exists no row is read; the run ends at its time limit with that reason."""
    (tmp_path / "pause").touch()
    pause = ("--pause-file", str(tmp_path / "pause"))
    document, _ = _run(small, tmp_path, *pause, "--max-runtime", "2")
    assert document["exit_code"] == 2
    assert any(note.startswith("paused for") for note in document["notes"])
    reasons = {check["id"]: check["reason"] for check in document["checks"]}
    assert "--max-runtime" in reasons["USR-01"]
    assert document["footprint"].get("user_db", {"rows": 0})["rows"] == 0
    (tmp_path / "pause").unlink()
    document, _ = _run(small, tmp_path, *pause)
    assert not any(note.startswith("paused") for note in document["notes"])
    assert {check["id"]: check["verdict"] for check in document["checks"]}["USR-01"] == "holds"
