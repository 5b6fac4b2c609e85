"""What the verifier cannot know it says, and it judges the rest: dead, hung and slow stores, lost continuity, wrong credentials."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fixtures.faults.edits import put
from fixtures.faults.unknowable import NEEDS
from fixtures.scenarios.small_world import SmallWorld, reasons, small_world, verdicts
from fixtures.services.redis import Redis
from fixtures.stack.profile import write_profile
from fixtures.stack.proxy import Mode
from fixtures.stack.stack import Stack
from verifier.model.verdict import ExitCode, RunResult, Verdict

pytestmark = pytest.mark.timeout(400)

IN_TIME_S = 120.0
"""Well beyond every time limit of the profile together, on a busy machine too: whoever takes longer waits for ever."""
STORES = sorted(NEEDS)


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[SmallWorld]:
    """A world in which everything holds."""
    with small_world(stack) as world:
        yield world


@pytest.fixture(autouse=True)
def _with_its_store(request: pytest.FixtureRequest, small: SmallWorld) -> None:
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if parameters.get("store") == "rabbitmq_management" and not small.world.config.platform.amqp:
        pytest.skip("there is no broker on this machine")


def test_the_world_is_well(small: SmallWorld) -> None:
    """Whatever is inconclusive below is so for the reason that is planted there."""
    allowed = {Verdict.HOLDS, Verdict.NOT_APPLICABLE}
    assert {check: verdict for check, verdict in small.healthy.items() if verdict not in allowed} == {}


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG], ids=lambda mode: mode.value)
@pytest.mark.parametrize("store", STORES)
def test_a_dead_store_blinds_the_checks_that_need_it(small: SmallWorld, store: str, mode: Mode) -> None:
    """They are inconclusive with a sentence; the others are judged as ever; exit code 2, in time."""
    with small.world.behind_proxies(store) as (config, proxies):
        proxies[store].set_mode(mode)
        started = time.monotonic()
        result = small.judge(config=config)
        took_s = time.monotonic() - started
    told = reasons(result)
    assert set(told) <= set(NEEDS[store].split()), told
    assert set(told) >= set(NEEDS[store].split()) - {"MSG-02"}, sorted(told)
    others = {check: verdict for check, verdict in verdicts(result).items() if check not in told}
    assert others == {check: verdict for check, verdict in small.healthy.items() if check not in told}
    assert all(("reached" in text or "accept" in text or "answer" in text) for text in told.values()), told
    assert not any("crashed" in text or "Traceback" in text or "()" in text for text in told.values()), told
    assert result.exit_code() is ExitCode.INCONCLUSIVE
    assert took_s < IN_TIME_S


@pytest.mark.parametrize("store", STORES)
def test_a_slow_store_is_waited_for(small: SmallWorld, store: str) -> None:
    """Slow is not dead: the same verdicts, a little later."""
    with small.world.behind_proxies(store) as (config, proxies):
        proxies[store].set_mode(Mode.SLOW, delay_s=0.01)
        result = small.judge(config=config)
    assert verdicts(result) == small.healthy, reasons(result)


@pytest.mark.parametrize("store", STORES)
def test_a_store_that_dies_during_the_run(small: SmallWorld, store: str) -> None:
    """What was judged until then stays judged; the rest is inconclusive; nothing hangs, nothing crashes."""
    with small.world.behind_proxies(store) as (config, proxies):

        async def die() -> None:
            while not proxies[store].connections:  # noqa: ASYNC110 - counted in another thread
                await asyncio.sleep(0.01)
            await asyncio.to_thread(proxies[store].set_mode, Mode.RESET)
            await asyncio.to_thread(proxies[store].drop_connections)

        async def both() -> RunResult:
            dying = asyncio.create_task(die())
            result = await small.runs.judge(small.text(config=config))
            await dying
            return result

        started = time.monotonic()
        result = asyncio.run(both())
        took_s = time.monotonic() - started
    told = reasons(result)
    assert told
    assert set(told) <= {*NEEDS[store].split(), "META-01"}, told
    assert not any("crashed" in text or "Traceback" in text for text in told.values()), told
    assert took_s < IN_TIME_S


@pytest.mark.parametrize(
    ("store", "role", "key"),
    [
        ("user_db", "user_db", "url"),
        ("chat_db", "chat_db", "url"),
        ("mongo", "chat_mongo", "url"),
        ("redis", "cache_redis", "url"),
        ("rabbitmq_management", "broker", "management_url"),
    ],
)
def test_a_credential_that_can_write_is_refused(small: SmallWorld, store: str, role: str, key: str) -> None:
    """Credentials of those who write: refused with the way out, and taken where the profile says so, loudly."""
    # Redis and RabbitMQ do not tell a plain user about itself; their administrators' are told.
    whose = small.world.admin if store in ("redis", "rabbitmq_management") else small.world.config.platform
    url = str(getattr(whose, store))
    writing = put(f"roles.{role}.{key}", url)
    only = ("TOK-03",) if store == "redis" else ("MQ-01",) if role == "broker" else ("USR-08", "RPT-02", "MSG-03")
    told = reasons(small.judge(writing, only=only))
    assert any("can write" in text and f"roles.{role}.allow_writing_credential" in text for text in told.values()), told
    assert reasons(small.judge(writing, put(f"roles.{role}.allow_writing_credential", True), only=only)) == {}


@pytest.mark.parametrize(
    ("store", "role", "key"),
    [("user_db", "user_db", "url"), ("redis", "cache_redis", "url"), ("mongo", "chat_mongo", "url")],
)
def test_a_wrong_password_is_told(small: SmallWorld, store: str, role: str, key: str) -> None:
    """The sentence names the role whose secret is wrong, and does not show it."""
    url = str(getattr(small.world.config.verifier, store))
    login, _, place = url.rpartition("@")
    wrong = login.rpartition(":")[0] + ":notthepassword@" + place
    result = small.judge(put(f"roles.{role}.{key}", wrong))
    told = reasons(result)
    assert told
    assert set(told) <= set(NEEDS[store].split())
    assert all(role in text and "notthepassword" not in text for text in told.values()), told
    assert result.exit_code() is ExitCode.INCONCLUSIVE


def test_a_vhost_that_is_not_there_is_told(small: SmallWorld) -> None:
    """Where the profile names no vhost of the broker nothing of ours was looked at, and nothing may be said to hold."""
    if not small.world.config.platform.amqp:
        pytest.skip("there is no broker on this machine")
    told = reasons(small.judge(put("roles.broker.vhost", "no-such-vhost"), only=("MQ-01", "MQ-02", "MQ-03")))
    assert sorted(told) == ["MQ-01", "MQ-02", "MQ-03"]
    assert all("no-such-vhost" in text for text in told.values()), told


def test_counters_that_were_reset_break_continuity(small: SmallWorld) -> None:
    """Somebody resets PostgreSQL's statistics: the run says so and arms anew, and the next one holds again."""
    with psycopg.connect(small.world.admin.chat_db, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_reset()")
    first, second = small.judge(only=("GRP-01",)), small.judge(only=("GRP-01",))
    assert "continuity broken" in reasons(first)["GRP-01"]
    assert verdicts(second)["GRP-01"] is Verdict.HOLDS


def test_a_table_that_was_swapped_breaks_continuity(small: SmallWorld) -> None:
    """A table of the same name is not the same table."""
    with psycopg.connect(small.world.config.platform.chat_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE swapped (LIKE group_members INCLUDING ALL)")
        connection.execute("DROP TABLE group_members")
        connection.execute("ALTER TABLE swapped RENAME TO group_members")
    first, second = small.judge(only=("GRP-01",)), small.judge(only=("GRP-01",))
    assert "continuity broken" in reasons(first)["GRP-01"]
    assert verdicts(second)["GRP-01"] is Verdict.HOLDS


def test_the_command_line_survives_a_killed_store(small: SmallWorld) -> None:
    """`kill -9` of Redis: exit code 2, no traceback. It comes back as another incarnation, which is told once."""
    redis = small.world.server("redis")
    assert isinstance(redis, Redis)
    redis.kill9()
    profile = write_profile(small.world.config, small.text(), "killed.toml")
    command = [
        str(Path(sys.executable).with_name("verifier")),
        "run",
        "--profile",
        str(profile),
        "--only",
        "TOK",
        "--only",
        "USR",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == ExitCode.INCONCLUSIVE, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "cannot be reached" in ended.stdout
