"""Read-only from both sides: no method of a store writes, and the servers' own logs of a run have reads only."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pymongo
import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from pydantic import SecretStr

from fixtures.processes.deadline import Deadline
from fixtures.scenarios.small_world import SmallWorld, small_world
from fixtures.stack.stack import Stack
from verifier.profile.roles import BrokerRole, MongoRole, PostgresRole, RedisRole
from verifier.stores.errors import Forbidden
from verifier.stores.mongo.guard import READ_COMMANDS as MONGO_COMMANDS
from verifier.stores.mongo.guard import require_read_command as require_mongo
from verifier.stores.mongo.store import MongoStore
from verifier.stores.postgres.guard import ALLOWED_FUNCTIONS, require_read_only_sql
from verifier.stores.postgres.store import PostgresStore
from verifier.stores.rabbitmq.guard import is_read_request
from verifier.stores.rabbitmq.store import RabbitMQStore
from verifier.stores.redis.guard import require_read_command as require_redis
from verifier.stores.redis.store import RedisStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

DRIVERS = ("pymongo", "psycopg", "aio_pika", "aiormq", "httpx", "redis")
ONLY_VOLATILE_IN_NAME = {
    "clock_timestamp", "pg_is_in_recovery", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp"
}  # fmt: skip
"""Their answers change by themselves; they change nothing."""
NO_COMMANDS = frozenset(
    "aclose close transaction lock monitor initialize set_retry set_response_callback from_url from_pool".split()
)
"""Methods of the client that send nothing themselves, and change how it sends."""
READING_WORDS = ("SELECT", "BEGIN", "COMMIT", "ROLLBACK", "DEALLOCATE", "WITH", "SET CLIENT_ENCODING")
AS_VERIFIER = re.compile(r"_verifier@\S* (?:LOG|ERROR).*?(?:statement|execute [^:\n]*):\s*(\S.*)")


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[SmallWorld]:
    """A frozen world in which everything holds."""
    with small_world(stack) as world:
        yield world


# -- from the inside: what can be reached --


async def test_no_store_exposes_a_driver(small: SmallWorld) -> None:
    """No public attribute of a store is a driver's object except Redis's client, whose connections are guarded."""
    verifier = small.world.config.verifier
    stores: list[Any] = [
        PostgresStore("chat_db", PostgresRole(url=SecretStr(verifier.chat_db))),
        MongoStore("chat_mongo", MongoRole(url=SecretStr(verifier.mongo), database=small.world.config.mongo_database)),
        RedisStore("cache_redis", RedisRole(url=SecretStr(verifier.redis))),
    ]
    if verifier.amqp:
        management = SecretStr(str(verifier.rabbitmq_management))
        stores.append(RabbitMQStore("broker", BrokerRole(management_url=management, vhost=small.world.config.vhost)))
    exposed = set()
    for store in stores:
        await store.connect()
        try:
            for name in (name for name in dir(store) if not name.startswith("_")):
                module = type(getattr(store, name)).__module__.partition(".")[0]
                if module in DRIVERS:
                    exposed.add(f"{type(store).__name__}.{name}")
        finally:
            await store.close()
    assert exposed == {"RedisStore.driver"}


async def test_no_method_of_the_redis_client_writes(small: SmallWorld) -> None:
    """Every public method of the driver is called with made-up arguments; the server counts no command that can
    write."""
    writing = _writing_commands(small.world.admin.redis)
    before = _calls(small.world.admin.redis)
    store = RedisStore("cache_redis", RedisRole(url=SecretStr(small.world.admin.redis)))
    await store.connect()
    called = 0
    for name in sorted(name for name in dir(redis.asyncio.Redis) if not name.startswith("_")):
        method = getattr(store.driver, name, None)
        if name in NO_COMMANDS or not callable(method):
            continue
        for arguments in (("a",), ("a", "b"), ("a", 1, "b"), ("a", {"b": "c"}), ("a", "b", 1, "c"), ()):
            called += await _called(method, arguments)
    for words in ("MONITOR", "SHUTDOWN", "DEBUG SLEEP 0", "KEYS *"):
        with pytest.raises(Forbidden):
            await store.send(*words.split())
    await store.close()
    after = _calls(small.world.admin.redis)
    moved = {name for name in writing if after.get(name, 0) != before.get(name, 0)}
    assert called > 300
    assert moved == set()


async def _called(method: Any, arguments: tuple[Any, ...]) -> int:
    try:
        inspect.signature(method).bind(*arguments)
    except (TypeError, ValueError):
        return 0
    try:
        async with asyncio.timeout(0.5):
            answer = method(*arguments)
            if inspect.isawaitable(answer):
                await answer
    except Exception:
        return 1
    return 1


def _client(url: str) -> Any:
    return redis.Redis.from_url(url, decode_responses=True)


def _writing_commands(url: str) -> set[str]:
    """The commands that the server itself classifies as writing, publishing, scripting or administration."""
    with _client(url) as client:
        found = set()
        for category in ("write", "scripting"):
            found |= set(client.execute_command("ACL", "CAT", category))
    return found | {"publish", "spublish", "config|set", "config|resetstat", "config|rewrite", "flushall", "shutdown"}


def _calls(url: str) -> dict[str, int]:
    with _client(url) as client:
        stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(item["calls"]) for name, item in stats.items()}


def test_the_server_agrees_which_redis_commands_read(small: SmallWorld) -> None:
    """Every command that this server classifies as writing is refused, also those of its newest version."""
    for command in sorted(_writing_commands(small.world.admin.redis)):
        with pytest.raises(Forbidden):
            require_redis((*command.upper().split("|"), "a", "b"))


def test_the_server_agrees_which_functions_read(small: SmallWorld) -> None:
    """Every volatile function in PostgreSQL's catalogue is refused by name."""
    query = (
        "SELECT DISTINCT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace "
        "WHERE n.nspname = 'pg_catalog' AND provolatile = 'v' AND prokind = 'f' AND prorettype <> 'trigger'::regtype"
    )
    with psycopg.connect(small.world.admin.chat_db) as connection:
        volatile = {row[0] for row in connection.execute(query)}
    passed = set()
    for name in sorted(volatile):
        for call in (f"SELECT {name}()", f"SELECT {name}('a', 1)", f"SELECT * FROM pg_catalog.{name}('a')"):  # noqa: S608 - never sent
            try:
                require_read_only_sql(call)
            except Forbidden:
                continue
            passed.add(name)
    # Volatile because their answer changes by itself, not because they change anything.
    assert passed <= (volatile & ALLOWED_FUNCTIONS) | {"random", "clock_timestamp", "timeofday", "gen_random_uuid"}, (
        passed
    )
    assert volatile & ALLOWED_FUNCTIONS <= ONLY_VOLATILE_IN_NAME | {
        name for name in ALLOWED_FUNCTIONS if name.startswith(("pg_stat_get_", "pg_relation_", "pg_partition_"))
    }


NAMES = st.sampled_from(["t", "members", 'public."x"', "pg_temp.t"])
WRITES = st.sampled_from(
    [
        "INSERT INTO {t} VALUES (1)", "INSERT INTO {t} DEFAULT VALUES", "UPDATE {t} SET a = 1", "DELETE FROM {t}",
        "MERGE INTO {t} USING u ON true WHEN MATCHED THEN DELETE",
    ]
)  # fmt: skip
NOISE = st.sampled_from(["", " ", "/* SELECT */ ", "-- SELECT 1\n", "/* a /* nested */ b */", "\t\n"])
FRAMES = st.sampled_from(
    [
        "{w}", "{w} RETURNING *", "WITH x AS ({w} RETURNING *) SELECT * FROM x", "SELECT 1; {w}", "{w}; SELECT 1",
        "EXPLAIN ANALYZE {w}", "PREPARE p AS {w}", "COPY ({w} RETURNING *) TO STDOUT", "DO $$ BEGIN {w}; END $$",
        "SELECT * FROM (WITH x AS ({w} RETURNING *) SELECT * FROM x) AS y",
        "SELECT 1 UNION ALL (WITH x AS ({w} RETURNING 1) SELECT * FROM x)",
        "SELECT (WITH x AS ({w} RETURNING 1) SELECT count(*) FROM x)",
        "CREATE TABLE z AS WITH x AS ({w} RETURNING *) SELECT * FROM x", "SELECT * FROM a WHERE b IN ({w} RETURNING 1)",
    ]
)  # fmt: skip


@given(write=WRITES, frame=FRAMES, table=NAMES, noise=NOISE, upper=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_disguise_gets_a_write_past_the_sql_guard(
    write: str, frame: str, table: str, noise: str, upper: bool
) -> None:
    """Comments, common table expressions, sub-selects, several statements, either case: refused before anything is
    sent."""
    statement = noise + frame.format(w=write.format(t=table) + noise)
    with pytest.raises(Forbidden):
        require_read_only_sql(statement.lower() if upper else statement)


async def test_a_refused_statement_is_not_sent(small: SmallWorld) -> None:
    """Every public method of the PostgreSQL store that takes SQL refuses before it sends."""
    store = PostgresStore("chat_db", PostgresRole(url=SecretStr("postgresql://nobody@127.0.0.1:1/none")))
    doors = [
        name
        for name, method in inspect.getmembers(PostgresStore, inspect.isfunction)
        if not name.startswith("_") and "sql" in inspect.signature(method).parameters
    ]
    assert set(doors) >= {"fetch", "type_of"}
    for name in doors:
        with pytest.raises(Forbidden):
            await getattr(store, name)("DELETE FROM t")
    assert store.statement_log.refused == len(doors)


@given(name=st.text(min_size=1, max_size=20), inner=st.sampled_from(["$out", "$merge", "$function", "$where"]))
@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
def test_no_other_mongo_command_passes(name: str, inner: str) -> None:
    """Other names are refused, and so are listed ones with something that writes or runs code at any depth."""
    if name not in MONGO_COMMANDS:
        with pytest.raises(Forbidden):
            require_mongo({name: 1})
    for command in (
        {"find": "c", "filter": {"a": [{"b": {inner: "x"}}]}},
        {"aggregate": "c", "pipeline": [{"$facet": {name: [{"$match": {}}, {inner: "x"}]}}]},
        {"aggregate": "c", "pipeline": [{"$lookup": {"from": name, "pipeline": [{inner: "x"}], "as": "y"}}]},
    ):
        with pytest.raises(Forbidden):
            require_mongo(command)


@given(
    method=st.sampled_from(["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get", "GET"]),
    path=st.lists(
        st.sampled_from(["api", "queues", "%2F", "get", "definitions", "..", "users", "aliveness-test", "x"])
    ),
)
@settings(max_examples=300)
def test_no_other_management_request_passes(method: str, path: list[str]) -> None:
    """Only GET, and only of what describes the broker: never definitions, password hashes or the test that
    publishes."""
    allowed = is_read_request(method, "/" + "/".join(path))
    if method != "GET" or {"definitions", "..", "aliveness-test"} & set(path[1:2]) or ".." in path:
        assert not allowed
    if path[1:2] == ["users"]:
        assert not allowed  # permissions of a user are the one exception, and not among these paths


# -- from the outside: what the servers say of a run --


def test_a_run_only_reads(small: SmallWorld, stack: Stack) -> None:
    """A run of all checks by the servers' own logs and counters: PostgreSQL's statements, Redis's commands, MongoDB's
    oplog."""
    admin = small.world.admin
    writing, redis_before = _writing_commands(admin.redis), _calls(admin.redis)
    process = stack.postgres.process
    assert process is not None
    with psycopg.connect(admin.chat_db, autocommit=True) as connection:
        verifier = re.escape(small.world.config.verifier.chat_db.split("//")[1].split(":")[0])
        connection.execute(
            cast("Any", sql.SQL("ALTER ROLE {} SET log_statement = 'all'").format(sql.Identifier(verifier)))
        )
        from_byte = process.log.stat().st_size
        with pymongo.MongoClient[dict[str, Any]](admin.mongo) as mongo:
            newest = _newest_after_quiet(mongo)
            small.judge()
            written = {str(entry["ns"]) for entry in _oplog(mongo).find({"ts": {"$gt": newest}, "op": {"$ne": "n"}})}
        connection.execute(cast("Any", sql.SQL("ALTER ROLE {} RESET log_statement").format(sql.Identifier(verifier))))
    statements = _logged(process.log, from_byte)
    assert len(statements) > 50
    assert [item for item in statements if not item.upper().startswith(READING_WORDS)] == []
    redis_after = _calls(admin.redis)
    assert {name for name in writing if redis_after.get(name, 0) != redis_before.get(name, 0)} == set()
    # A login makes OpenIM note the new token; the double does that in its database.
    assert written <= {f"{small.world.config.openim_mongo_database}.cache"}


def _oplog(mongo: Any) -> Any:
    return mongo.local["oplog.rs"]


def _newest_after_quiet(mongo: Any) -> Any:
    """The time of the newest write, once OpenIM has stored what it writes late."""

    def newest() -> Any:
        return _oplog(mongo).find().sort("$natural", -1).limit(1)[0]["ts"]

    def is_quiet() -> None:
        before = newest()
        time.sleep(1.0)
        assert newest() == before

    Deadline(60).wait_until("MongoDB to come to rest", is_quiet)
    return newest()


def _logged(log: Path, from_byte: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(from_byte)
        text = file.read().decode("utf-8", "replace")
    return [match.group(1).strip() for match in AS_VERIFIER.finditer(text)]
