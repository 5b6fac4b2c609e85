"""PostgreSQL that crashes, restarts and replicates: lost counters are inconclusive once, kept ones still prove
silence."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from fixtures.processes.deadline import Deadline
from fixtures.processes.process import Command, OwnedProcess
from fixtures.services.postgres import Postgres
from fixtures.stack.stack import Stack
from tests.verifier.stores.postgres.world import PostgresWorld, open_postgres_world
from verifier.model.verdict import Judgement, Verdict

pytestmark = [pytest.mark.long, pytest.mark.anyio]

SECONDS = 30
WRITE = "INSERT INTO members (id, group_id, created_at) VALUES (1000, 'moved', '2025-01-01')"


@pytest.fixture(scope="module")
def stack_of_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server for this module, to be crashed."""
    with Stack.start(tmp_path_factory.mktemp("pg"), only={"postgres"}) as stack:
        yield stack


@pytest.fixture
def world(stack_of_one: Stack) -> Iterator[PostgresWorld]:
    """A new database on it."""
    with open_postgres_world(stack_of_one.postgres) as world:
        yield world


async def _two_nights(world: PostgresWorld, then: object, url: str | None = None) -> list[Judgement]:
    """A baseline, an event that ends all connections, and two nights with new ones."""
    async with world.nights() as nights:
        marks = nights.marks
    then()  # type: ignore[operator]
    async with world.nights(baselined=False, url=url) as nights:
        nights.marks = marks
        return [await nights.night(), await nights.night()]


async def test_a_killed_backend_is_inconclusive_once(stack_of_one: Stack, world: PostgresWorld) -> None:
    """After `kill -9` of one session the server recovers and counts from zero; most continuity tokens stay."""

    def kill_one() -> None:
        with psycopg.connect(world.grant.chat_db, autocommit=True) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
        _await(stack_of_one.postgres)

    first, second = await _two_nights(world, kill_one)
    assert first.verdict is Verdict.INCONCLUSIVE
    assert "crash recovery" in first.reason
    assert second.verdict is Verdict.HOLDS


async def test_a_write_before_a_crash_is_found(stack_of_one: Stack, world: PostgresWorld) -> None:
    """The counters are gone; the row and its transaction are not."""

    def write_and_crash() -> None:
        world.write(WRITE)
        with psycopg.connect(world.grant.chat_db, autocommit=True) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
        _await(stack_of_one.postgres)

    first, _ = await _two_nights(world, write_and_crash)
    assert [item.key for item in first.findings] == ["1000"]


async def test_a_clean_restart_keeps_continuity(stack_of_one: Stack, world: PostgresWorld) -> None:
    """Counters are saved by a clean shutdown."""

    def restart() -> None:
        stack_of_one.postgres.stop()
        stack_of_one.postgres.restart(Deadline(SECONDS))

    first, _ = await _two_nights(world, restart)
    assert first.verdict is Verdict.HOLDS, first.reason


async def test_silence_on_a_standby_is_inconclusive(stack_of_one: Stack, world: PostgresWorld, tmp_path: Path) -> None:
    """Its table counters do not move. A replicated row is still a finding."""
    with _standby(stack_of_one, tmp_path) as port:
        parts = urlsplit(world.grant.verifier_chat_db)
        login = parts.netloc.rpartition("@")[0]
        url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        lost, _ = await _two_nights(world, lambda: None, url=url)
        async with world.nights(url=url) as nights, world.nights(url=url, neighbours=frozenset({"x"})) as shared:
            silent, beside = await nights.night(), await shared.night()
            world.write(WRITE)
            _await_row(url)
            loud = await nights.night()
    assert lost.verdict is Verdict.INCONCLUSIVE
    assert "standby changed" in lost.reason
    assert silent.verdict is Verdict.INCONCLUSIVE
    assert "is a standby" in silent.reason
    assert beside.verdict is Verdict.HOLDS
    assert any("standby" in text for text in beside.coverage[0].unseen)
    assert loud.verdict is Verdict.VIOLATED


@contextmanager
def _standby(stack: Stack, place: Path) -> Iterator[int]:
    """A standby of the server."""
    server = stack.postgres
    assert server.process is not None
    started = server.process.command
    cluster = stack.run.data("standby", reachable=started.user is not None) / "cluster"
    cluster.parent.chmod(0o711)
    cluster.mkdir(mode=0o700)
    if started.user is not None:
        shutil.chown(cluster, started.user)
    program = str(Path(started.argv[0]).with_name("pg_basebackup"))
    argv = [program, "-D", str(cluster), "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", server.admin_url]
    copy = Command(name="standby-copy", argv=argv, cwd=cluster, user=started.user)
    OwnedProcess(copy, stack.run).run_to_end(Deadline(SECONDS))
    port = stack.run.claim_port()
    argv = [started.argv[0], "-D", str(cluster), "-c", f"port={port}"]
    process = OwnedProcess(replace(started, name="standby", argv=argv, cwd=cluster), stack.run)
    process.start()
    try:
        parts = urlsplit(server.admin_url)
        netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
        follower = Postgres(urlunsplit(parts._replace(netloc=netloc)))
        process.wait_ready(follower.probe, Deadline(SECONDS))
        yield port
    finally:
        process.stop()


def _await(server: Postgres) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            time.sleep(0.2)
            server.probe()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server does not recover"


def _await_row(url: str) -> None:
    deadline = time.monotonic() + SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute("SELECT 1 FROM members WHERE id = 1000").fetchone():
            assert time.monotonic() < deadline, "the row does not come over"
            time.sleep(0.05)
