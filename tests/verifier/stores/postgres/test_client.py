"""Connections and transactions: what a mute, slow, broken or lagging server costs, and what is said of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from fixtures.processes.proxy import Mode, Proxy
from tests.verifier.stores.postgres.test_source import keyed, whole
from tests.verifier.stores.postgres.world import PostgresWorld, members
from verifier.model.query import Rows
from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import PostgresRole
from verifier.stores.budget import NoAnswer, TooSlow
from verifier.stores.errors import StoreError, Unreachable
from verifier.stores.postgres.client import Overtaken
from verifier.stores.postgres.session import Session
from verifier.stores.postgres.store import PostgresStore

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[4]


@pytest.fixture
def proxy(postgres: PostgresWorld) -> Proxy:
    """A proxy before the server."""
    parts = urlsplit(postgres.grant.verifier_chat_db)
    return Proxy(parts.hostname or "", parts.port or 5432)


def at(url: str, *places: str, more: str = "") -> str:
    """A URL with other hosts and ports."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{','.join(places)}").geturl() + more


@asynccontextmanager
async def opened(url: str, budget: StoreBudget | None = None, **settings: float) -> AsyncIterator[PostgresStore]:
    """A connected store."""
    store = PostgresStore("chat_db", PostgresRole.model_validate({"url": url, **settings}), budget)
    try:
        await store.connect()
        yield store
    finally:
        await store.close()


async def test_a_server_that_falls_silent_costs_one_time_out(postgres: PostgresWorld, proxy: Proxy) -> None:
    """Fifty further statements fail at once, with one sentence, and no connection is opened for them."""
    url = at(postgres.grant.verifier_chat_db, f"127.0.0.1:{proxy.port}")
    with proxy:
        async with opened(url, operation_timeout_s=1, connect_timeout_s=1) as store:
            await store.clock()
            proxy.set_mode(Mode.HANG)
            begun = time.monotonic()
            with pytest.raises(NoAnswer, match=r"chat_db \(PostgreSQL\) did not answer within 1 s"):
                await store.clock()
            first_s, begun = time.monotonic() - begun, time.monotonic()
            connections = proxy.connections
            for _ in range(50):
                with pytest.raises(NoAnswer, match="left out for the rest of this run"):
                    await store.source(members(), Rows("members")).lookup("id", [1])
            assert time.monotonic() - begun < first_s
            assert proxy.connections == connections


HUNG = """
import asyncio, logging, sys
from fixtures.processes.proxy import Mode, Proxy
from urllib.parse import urlsplit
from verifier.profile.roles import PostgresRole
from verifier.stores.postgres.store import PostgresStore

async def main(url):
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname, parts.port)
    place = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
    role = PostgresRole(url=parts._replace(netloc=place).geturl(), operation_timeout_s=0.5, connect_timeout_s=0.5)
    store = PostgresStore("chat_db", role)
    await store.connect()
    proxy.set_mode(Mode.HANG)
    answers = await asyncio.gather(*(store.clock() for _ in range(6)), return_exceptions=True)
    print(len(answers), {type(answer).__name__ for answer in answers})
    await store.close()
    proxy.close()

asyncio.run(main(sys.argv[1]))
"""


def test_the_driver_prints_nothing(postgres: PostgresWorld) -> None:
    """Warnings of the driver and of the event loop do not reach standard error."""
    command = [sys.executable, "-X", "dev", "-W", "default::ResourceWarning", "-c", HUNG]
    done = subprocess.run(
        [*command, postgres.grant.verifier_chat_db], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "6 {'NoAnswer'}\n"
    assert done.stderr == ""


async def test_a_statement_that_is_too_slow_is_cancelled_by_the_server(postgres: PostgresWorld) -> None:
    """The server is alive, so it answers other statements; the slow one is not sent again."""
    slow = "SELECT count(*) AS n FROM members a, members b, members c, members d, members e WHERE a.id + b.id + c.id + d.id + e.id < 0"  # fmt: skip
    async with opened(postgres.grant.verifier_chat_db, StoreBudget(statement_timeout_s=0.3)) as store:
        for _ in range(2):
            with pytest.raises(TooSlow, match="cancelled"):
                await store.fetch(slow)
        assert store.statement_log.lines[slow].sent == 1
        await store.clock()


async def test_a_cancelled_task_stops_its_statement(postgres: PostgresWorld) -> None:
    """When a run ends early, nothing of it goes on in the server."""
    slow = "SELECT count(*) AS n FROM members a, members b, members c, members d, members e WHERE a.id + b.id + c.id + d.id + e.id < 0"  # fmt: skip
    async with opened(postgres.grant.verifier_chat_db) as store:
        task = asyncio.create_task(store.fetch(slow))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with psycopg.connect(postgres.grant.admin_chat_db, autocommit=True) as admin:
            for _ in range(50):
                left = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%members e%' AND state = 'active' AND pid <> pg_backend_pid()").fetchone()  # fmt: skip
                if left == (0,):
                    break
                await asyncio.sleep(0.1)
        assert left == (0,)
        await store.clock()


async def test_a_connection_that_broke_while_idle_is_replaced(postgres: PostgresWorld) -> None:
    """A pooler or firewall that closes idle connections makes no check inconclusive."""
    async with opened(postgres.grant.verifier_chat_db) as store:
        await store.clock()
        role = urlsplit(postgres.grant.verifier_chat_db).username
        postgres.write(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'", admin=True)  # noqa: S608 - ours
        await asyncio.sleep(0.2)
        await store.clock()


# -- addresses --


async def test_a_mute_host_leaves_time_for_the_next(postgres: PostgresWorld, proxy: Proxy) -> None:
    """Each host has its own time limit. The one that answered is asked first for the next connection."""
    server = urlsplit(postgres.grant.verifier_chat_db)
    with proxy:
        proxy.set_mode(Mode.HANG)
        url = at(postgres.grant.verifier_chat_db, f"127.0.0.1:{proxy.port}", f"{server.hostname}:{server.port}")
        async with opened(url, connect_timeout_s=0.5) as store:
            await asyncio.gather(*(store.clock() for _ in range(4)))
            assert proxy.connections == 1


async def test_hosts_are_tried_in_order(postgres: PostgresWorld) -> None:
    """One refuses, one has no name, the third is the server; `target_session_attrs` is kept."""
    server = urlsplit(postgres.grant.verifier_chat_db)
    places = ("127.0.0.1:1", "no-such-host.invalid:5432", f"localhost:{server.port}")
    async with opened(at(postgres.grant.verifier_chat_db, *places, more="?target_session_attrs=any")) as store:
        await store.clock()
    with pytest.raises(Unreachable, match=r"chat_db \(PostgreSQL\) cannot be reached"):
        async with opened(at(postgres.grant.verifier_chat_db, *places[:2])):
            pass
    with pytest.raises(StoreError, match=r"read-only|standby|primary"):
        async with opened(postgres.grant.verifier_chat_db + "?target_session_attrs=standby"):
            pass


async def test_a_mute_server_is_unreachable_in_time(postgres: PostgresWorld, proxy: Proxy) -> None:
    """Connecting ends after the role's time limit."""
    with proxy:
        proxy.set_mode(Mode.HANG)
        with pytest.raises(NoAnswer, match=r"did not accept a connection within 0\.3 s"):
            async with opened(at(postgres.grant.verifier_chat_db, f"127.0.0.1:{proxy.port}"), connect_timeout_s=0.3):
                pass


async def test_options_of_the_url_apply(postgres: PostgresWorld) -> None:
    """A search path in the URL finds the tables; settings that the verifier needs itself are its own."""
    postgres.write(
        "CREATE SCHEMA app", "CREATE TABLE app.things (k int, n int)", "INSERT INTO app.things VALUES (1, 1)"
    )
    more = "?options=-c%20search_path%3Dapp%20-c%20row_security%3Don%20-c%20default_transaction_read_only%3Doff%20-c%20timezone%3DAsia/Tokyo"
    async with opened(postgres.grant.verifier_chat_db + more) as store:
        relation = keyed("things", "k", table="things")
        assert len(await whole(store.source(relation, Rows("things", ("n",))))) == 1
        names = ("row_security", "transaction_read_only", "timezone")
        shown = ", ".join(f"current_setting('{name}') AS a{index}" for index, name in enumerate(names))
        assert list((await store.fetch(f"SELECT {shown}"))[0].values()) == ["off", "on", "UTC"]


async def test_a_role_that_overrides_settings(postgres: PostgresWorld) -> None:
    """Settings of the role or database do not reach the verifier's transactions."""
    role = urlsplit(postgres.grant.verifier_chat_db).username
    postgres.write(
        *(
            f"ALTER ROLE {role} SET {line}"
            for line in (
                "DateStyle = 'German'", "IntervalStyle = 'iso_8601'", "extra_float_digits = 0", "bytea_output = 'escape'",
                "row_security = on", "TimeZone = 'UTC'", "statement_timeout = 0", "default_transaction_isolation = 'serializable'",
                "default_transaction_deferrable = on", "standard_conforming_strings = off",
            )
        ),
        "CREATE TABLE keyed (k float8, n timestamptz)",
        "INSERT INTO keyed SELECT i / 3.0, '2026-01-02 03:04:05' FROM generate_series(1, 20) i",
        admin=True,
    )  # fmt: skip
    postgres.write(f"GRANT SELECT ON keyed TO {role}", admin=True)
    async with opened(postgres.grant.verifier_chat_db, chunk_rows=3) as store:
        source = store.source(keyed("keyed", "k", types={"n": "timestamp"}), Rows("keyed", ("n",)))
        rows = await whole(source)
        assert len(rows) == 20
        assert {str(row["n"]) for row in rows} == {"2026-01-02 03:04:05+00:00"}
        assert len(await source.lookup("k", [row["k"] for row in rows])) == 20


# -- standbys --


class _Facts:
    """A cursor with one row."""

    def __init__(self, row: dict[str, object]) -> None:
        self._row = row

    async def fetchone(self) -> dict[str, object]:
        return self._row


class _Standby:
    """A connection to a standby that is always in one state."""

    def __init__(self, **row: object) -> None:
        self._row = row

    async def execute(self, *_: object) -> _Facts:
        return _Facts(self._row)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"replayed": True, "receiving": True, "behind_s": 9999.0}, ""),
        ({"replayed": False, "receiving": True, "behind_s": 2.0}, ""),
        ({"replayed": False, "receiving": True, "behind_s": 60.0}, "up to 60 s behind"),
        ({"replayed": True, "receiving": False, "behind_s": 60.0}, "receives nothing from its primary"),
        ({"replayed": False, "receiving": False, "behind_s": None}, "an unknown time behind"),
    ],
)
async def test_a_standby_that_is_behind_is_not_judged(facts: dict[str, object], why: str) -> None:
    """Behind by more than the settle window is inconclusive; a quiet primary is not a lag."""
    session = Session("chat_db (PostgreSQL)", "chat_db", statement_s=1, lock_s=1, lag_max_s=5)
    standby: object = _Standby(**facts, received="0/1")
    if not why:
        await session._require_recent(standby)  # type: ignore[arg-type]
        return
    with pytest.raises(StoreError, match=why):
        await session._require_recent(standby)  # type: ignore[arg-type]


async def test_a_statement_that_a_standby_cancels_is_sent_once_more(
    postgres: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time the sentence names the settings of the standby."""
    fails = [1]

    async def conflict(store: PostgresStore, connection: object, work: object) -> object:
        if fails[0]:
            fails[0] -= 1
            raise psycopg.errors.SerializationFailure("canceling statement due to conflict with recovery")
        return await plain(store, connection, work)  # type: ignore[arg-type]

    async with opened(postgres.grant.verifier_chat_db) as store:
        plain = PostgresStore._unless_cancelled
        await store.clock()
        begin = store._begin
        monkeypatch.setattr(PostgresStore, "_unless_cancelled", conflict)
        await store.clock()
        fails[0] = 99
        with pytest.raises(Overtaken, match="hot_standby_feedback"):
            await store.clock()
        assert begin is not None
