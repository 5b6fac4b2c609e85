"""Dead, hanging and slow stores, lost continuity and wrong credentials: checks are inconclusive with a reason, and the others are judged."""

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
from fixtures.faults.unreachable import in_vhost
from fixtures.processes.proxy import Mode
from fixtures.scenarios.small_world import SmallWorld, reasons, small_world, verdicts
from fixtures.services.redis import Redis
from fixtures.stack.profile import write_profile
from fixtures.stack.stack import Stack
from verifier.model.verdict import ExitCode, RunResult, Verdict

pytestmark = pytest.mark.timeout(400)

IN_TIME_S = 120.0
"""Well above the sum of all time limits of the profile, also on a busy machine."""
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


def test_everything_holds_in_the_world(small: SmallWorld) -> None:
    """A check that is inconclusive below is so for the planted reason."""
    allowed = {Verdict.HOLDS, Verdict.NOT_APPLICABLE}
    assert {check: verdict for check, verdict in small.healthy.items() if verdict not in allowed} == {}


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG], ids=lambda mode: mode.value)
@pytest.mark.parametrize("store", STORES)
def test_checks_of_a_dead_store_are_inconclusive(small: SmallWorld, store: str, mode: Mode) -> None:
    """They give a reason, the others are judged as before, and the run ends in time with exit code 2."""
    with small.world.behind_proxies(store) as (config, proxies):
        proxies[store].set_mode(mode)
        started = time.monotonic()
        result = small.judge(config=config)
        took_s = time.monotonic() - started
    why = reasons(result)
    assert set(why) <= set(NEEDS[store].split()), why
    assert set(why) >= set(NEEDS[store].split()) - {"MSG-02"}, sorted(why)
    others = {check: verdict for check, verdict in verdicts(result).items() if check not in why}
    assert others == {check: verdict for check, verdict in small.healthy.items() if check not in why}
    assert all(("reached" in text or "accept" in text or "answer" in text) for text in why.values()), why
    assert not any("crashed" in text or "Traceback" in text or "()" in text for text in why.values()), why
    assert result.exit_code() is ExitCode.INCONCLUSIVE
    assert took_s < IN_TIME_S


@pytest.mark.parametrize("store", STORES)
def test_a_slow_store_changes_no_verdict(small: SmallWorld, store: str) -> None:
    """The verdicts only come later."""
    with small.world.behind_proxies(store) as (config, proxies):
        proxies[store].set_mode(Mode.SLOW, delay_s=0.01)
        result = small.judge(config=config)
    assert verdicts(result) == small.healthy, reasons(result)


@pytest.mark.parametrize("store", STORES)
def test_a_store_that_dies_during_the_run_makes_the_rest_inconclusive(small: SmallWorld, store: str) -> None:
    """Verdicts before that stay; nothing hangs and nothing crashes."""
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
    why = reasons(result)
    assert why
    assert set(why) <= {*NEEDS[store].split(), "META-01"}, why
    assert not any("crashed" in text or "Traceback" in text for text in why.values()), why
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
    """The reason names the setting that allows it, and with the setting the checks are judged."""
    # Redis and RabbitMQ do not show plain users their rights, so the administrators' credentials are used.
    whose = small.world.admin if store in ("redis", "rabbitmq_management") else small.world.config.platform
    url = str(getattr(whose, store))
    writing = put(f"roles.{role}.{key}", url)
    only = ("TOK-03",) if store == "redis" else ("MQ-01",) if role == "broker" else ("USR-08", "RPT-02", "MSG-03")
    why = reasons(small.judge(writing, only=only))
    assert any("can write" in text and f"roles.{role}.allow_writing_credential" in text for text in why.values()), why
    assert reasons(small.judge(writing, put(f"roles.{role}.allow_writing_credential", True), only=only)) == {}


@pytest.mark.parametrize(
    ("store", "role", "key"),
    [("user_db", "user_db", "url"), ("redis", "cache_redis", "url"), ("mongo", "chat_mongo", "url")],
)
def test_a_wrong_password_is_reported(small: SmallWorld, store: str, role: str, key: str) -> None:
    """The reason names the role and does not show the password."""
    url = str(getattr(small.world.config.verifier, store))
    login, _, place = url.rpartition("@")
    wrong = login.rpartition(":")[0] + ":notthepassword@" + place
    result = small.judge(put(f"roles.{role}.{key}", wrong))
    why = reasons(result)
    assert why
    assert set(why) <= set(NEEDS[store].split())
    assert all(role in text and "notthepassword" not in text for text in why.values()), why
    assert result.exit_code() is ExitCode.INCONCLUSIVE


def test_a_missing_vhost_is_reported(small: SmallWorld) -> None:
    """If the profile names a vhost that does not exist, no check of the broker holds."""
    if not small.world.config.platform.amqp:
        pytest.skip("there is no broker on this machine")
    why = reasons(small.judge(in_vhost("no-such-vhost"), only=("MQ-01", "MQ-02", "MQ-03")))
    assert sorted(why) == ["MQ-01", "MQ-02", "MQ-03"]
    assert all("no-such-vhost" in text for text in why.values()), why


def test_counters_that_were_reset_break_continuity(small: SmallWorld) -> None:
    """After a reset of PostgreSQL's statistics, the run takes a new baseline and the next one holds again."""
    with psycopg.connect(small.world.admin.chat_db, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_reset()")
    first, second = small.judge(only=("GRP-01",)), small.judge(only=("GRP-01",))
    assert "continuity broken" in reasons(first)["GRP-01"]
    assert verdicts(second)["GRP-01"] is Verdict.HOLDS


def test_a_table_that_was_swapped_breaks_continuity(small: SmallWorld) -> None:
    """Another table with the same name is not the same table."""
    with psycopg.connect(small.world.config.platform.chat_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE swapped (LIKE group_members INCLUDING ALL)")
        connection.execute("DROP TABLE group_members")
        connection.execute("ALTER TABLE swapped RENAME TO group_members")
    first, second = small.judge(only=("GRP-01",)), small.judge(only=("GRP-01",))
    assert "continuity broken" in reasons(first)["GRP-01"]
    assert verdicts(second)["GRP-01"] is Verdict.HOLDS


def test_the_command_line_survives_a_killed_store(small: SmallWorld) -> None:
    """After `kill -9` of Redis: exit code 2, no traceback."""
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
