"""Every statement works through PgBouncer, whichever session of the server each transaction gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from fixtures.faults.edits import put_all
from fixtures.processes.deadline import Deadline
from fixtures.scenarios.small_world import small_world, verdicts
from fixtures.services.pgbouncer import PgBouncer, program
from fixtures.stack.stack import Stack
from tests.verifier.stores.postgres.test_source import keyed, small_chunks, whole
from tests.verifier.stores.postgres.world import INSERT, PostgresWorld, members, open_postgres_world
from verifier.model.query import Rows, Where
from verifier.model.verdict import Verdict
from verifier.profile.roles import PostgresRole
from verifier.stores.errors import Denied, StoreError
from verifier.stores.postgres.store import PostgresStore

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(program() is None, reason="PgBouncer is not installed (Debian package pgbouncer)"),
]
SECONDS = 30


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[PostgresWorld]:
    """A database that the poolers of this module lead to."""
    with open_postgres_world(stack.postgres) as opened:
        yield opened


@pytest.fixture(
    scope="module",
    params=[("session", {}), ("transaction", {}), ("transaction", {"ignore_startup_parameters": "options"})],
    ids=["session", "transaction", "options ignored"],
)
def pooler(request: pytest.FixtureRequest, stack: Stack, world: PostgresWorld) -> Iterator[PgBouncer]:
    """A pooler with few sessions, which clients share."""
    mode, settings = request.param
    urls = [world.grant.verifier_chat_db, world.grant.chat_db]
    size = 1 if mode == "transaction" else 4
    name = f"pgbouncer-{mode}-{len(settings)}"
    server = PgBouncer.start(
        stack.run, Deadline(SECONDS), urls, pool_mode=mode, pool_size=size, settings=settings, name=name
    )
    try:
        yield server
    finally:
        server.discard()


@asynccontextmanager
async def through(pooler: PgBouncer, world: PostgresWorld, *, declared: bool, more: str = "") -> AsyncIterator[PostgresStore]:  # fmt: skip
    """A store behind the pooler, which the profile may or may not declare."""
    url = pooler.url(world.grant.verifier_chat_db) + more
    store = PostgresStore("chat_db", PostgresRole.model_validate({"url": url, "pgbouncer": declared}))
    await store.connect()
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("declared", [True, False])
async def test_reading_and_looking_up(pooler: PgBouncer, world: PostgresWorld, declared: bool) -> None:
    """The same records as without a pooler."""
    async with through(pooler, world, declared=declared) as store:
        small_chunks(store, 7)
        source = store.source(members(), Rows("members", ("role",)))
        assert len(await whole(source)) == 40
        assert len(await source.lookup("id", [10, 20, 5])) == 2
        assert (await source.completeness()).counted == 40
        assert abs(await store.clock() - datetime.now(UTC)) < timedelta(minutes=1)


async def test_settings_apply_in_each_transaction(pooler: PgBouncer, world: PostgresWorld) -> None:
    """Whatever other clients of the pooler have set in the sessions that they share."""
    world.write(
        "CREATE SCHEMA other",
        "CREATE TABLE other.naive (k int, n timestamp)",
        "CREATE TABLE IF NOT EXISTS naive (k int, n timestamp)",
        "TRUNCATE naive",
        "INSERT INTO naive VALUES (1, '2026-01-01')",
    )
    try:
        async with through(pooler, world, declared=True) as store:
            with psycopg.connect(
                pooler.url(world.grant.verifier_chat_db), autocommit=True, prepare_threshold=None
            ) as client:
                for line in ("row_security = on", "search_path = other", "TimeZone = 'Asia/Tokyo'", "statement_timeout = 0", "extra_float_digits = -10", "DateStyle = 'German'"):  # fmt: skip
                    client.execute(f"SET {line}")
            names = (
                "row_security",
                "TimeZone",
                "search_path",
                "DateStyle",
                "extra_float_digits",
                "transaction_read_only",
            )
            shown = ", ".join(f"current_setting('{name}') AS a{index}" for index, name in enumerate(names))
            rows = await store.fetch(f"SELECT {shown}, current_setting('statement_timeout') AS t")
            assert list(rows[0].values()) == ["off", "UTC", '"$user", public', "ISO, YMD", "3", "on", "30s"]
            relation = keyed("naive", "k", types={"n": "timestamp"}, table="naive")
            later = Rows("naive", ("n",), (Where("n", ">=", datetime(2026, 1, 1, tzinfo=UTC)),))
            assert len(await whole(store.source(relation, later))) == 1
    finally:
        world.write("DROP SCHEMA other CASCADE")


@pytest.mark.parametrize("declared", [True, False])
async def test_options_of_the_url_are_kept(pooler: PgBouncer, world: PostgresWorld, declared: bool) -> None:
    """`?options=` names the schema of the tables. PgBouncer refuses or ignores it, so that it is set in each transaction."""
    world.write(
        "CREATE SCHEMA app",
        "CREATE TABLE app.things (k int, n int)",
        "INSERT INTO app.things VALUES (1, 1)",
    )
    try:
        more = "?options=-csearch_path%3Dapp,public%20-c%20enable_seqscan%3Doff"
        async with through(pooler, world, declared=declared, more=more) as store:
            relation = keyed("things", "k", table="things")
            assert len(await whole(store.source(relation, Rows("things", ("n",))))) == 1
            assert (await store.fetch("SELECT current_setting('enable_seqscan') AS s"))[0]["s"] == "off"
    finally:
        world.write("DROP SCHEMA app CASCADE")


async def test_rows_that_a_policy_hides_raise(pooler: PgBouncer, world: PostgresWorld) -> None:
    """Also where another client switched row_security on."""
    world.write(
        "CREATE TABLE secret (k int, n int)",
        "ALTER TABLE secret ENABLE ROW LEVEL SECURITY",
    )
    try:
        async with through(pooler, world, declared=True) as store:
            with pytest.raises(Denied, match="secret has row-level security"):
                await whole(store.source(keyed("secret", "k"), Rows("secret", ("n",))))
            assert len(await whole(store.source(members(), Rows("members")))) == 40
    finally:
        world.write("DROP TABLE secret")


async def test_writes_are_found_by_the_observer(pooler: PgBouncer, world: PostgresWorld) -> None:
    """Counters, census and witnesses work through the pooler."""
    async with world.nights(url=pooler.url(world.grant.verifier_chat_db)) as nights:
        quiet = await nights.night()
        world.write(INSERT + "(1000, 'moved', '2025-01-01')")
        loud = await nights.night()
        world.write("DELETE FROM members WHERE id = 1000")
    assert (quiet.verdict, loud.verdict) == (Verdict.HOLDS, Verdict.VIOLATED)


async def test_it_leaves_no_lock_and_no_prepared_statement(pooler: PgBouncer, world: PostgresWorld) -> None:
    """The sessions go back to other clients as they were."""
    async with through(pooler, world, declared=True) as store:
        for _ in range(12):
            await store.source(members(), Rows("members")).lookup("id", [10])
        with psycopg.connect(world.grant.admin_chat_db) as admin:
            role = world.grant.verifier_chat_db.partition("//")[2].partition(":")[0]
            held = admin.execute(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = %s AND l.locktype = 'advisory'",
                [role],
            ).fetchone()
            idle = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state LIKE 'idle in transaction%%'",
                [role],
            ).fetchone()
        assert (held, idle) == ((0,), (0,))
        assert await store.fetch("SELECT count(*) AS n FROM pg_prepared_statements") == [{"n": 0}]


async def test_statement_pooling_is_refused_with_a_sentence(stack: Stack, world: PostgresWorld) -> None:
    """Without transactions nothing could be promised about a statement."""
    pooler = PgBouncer.start(
        stack.run, Deadline(SECONDS), [world.grant.verifier_chat_db], pool_mode="statement", name="pgbouncer-statement",
        settings={"server_lifetime": "60"},
    )  # fmt: skip
    try:
        async with through(pooler, world, declared=True) as store:
            with pytest.raises(StoreError, match="statement pooling mode"):
                await store.clock()
    finally:
        pooler.discard()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_every_check_answers_as_without_a_pooler(stack: Stack) -> None:
    """All proofs over both databases, the observers included, with two sessions of the server for each."""
    with small_world(stack) as small:
        urls = small.world.config.verifier
        pooler = PgBouncer.start(
            stack.run, Deadline(SECONDS), [urls.user_db, urls.chat_db], pool_size=2, name="pgbouncer-world"
        )
        try:
            places = {f"roles.{role}.url": pooler.url(getattr(urls, role)) for role in ("user_db", "chat_db")}
            result = small.judge(put_all(places))
        finally:
            pooler.discard()
        assert verdicts(result) == small.healthy
