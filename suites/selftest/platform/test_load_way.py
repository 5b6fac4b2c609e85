"""Load through the platform's gateway: the engine with sessions instead of tokens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.clients.gateway import Gateway
from fixtures.world import WorldConfig
from load.engine.engine import Engine
from load.engine.frames import SINGLE, Peer, SdkType
from load.engine.plan import EnginePlan, Target, UserPlan
from load.journal.writer import ColumnWriter
from load.judging.account import judge_run
from load.people.openim import conversation_id
from load.people.ways import sign_in, through_gateway
from suites.selftest.platform.conftest import new_phone
from verifier.verdict import Verdict

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("sdk_type", "gzipped"), [("js", False), ("go", True)])
async def test_a_session_is_enough_for_load(
    gateway: Gateway, config: WorldConfig, tmp_path: Path, sdk_type: SdkType, gzipped: bool
) -> None:
    """Two users with a session each write to each other through the gateway; every message is accounted for."""
    sessions = await asyncio.to_thread(sign_in, config.gateway, [new_phone(), new_phone()], platform_id=5)
    plan = EnginePlan(run_id=f"gateway-{sdk_type}", worker=0, text="hello", sdk_type=sdk_type, gzipped=gzipped)
    path = tmp_path / "a.columns"
    engine = Engine(plan, ColumnWriter(path, run_id=plan.run_id, stack="t", worker=0, digest=plan.digest))
    engine.start(lambda run: threading.Thread(target=run, daemon=True).start())
    ids = [session.user_id.hex for session in sessions]
    for session, me, peer in zip(sessions, ids, reversed(ids), strict=True):
        target = Target(peer=Peer(SINGLE, peer), conversation=conversation_id(me, peer), members=sorted(ids))
        address = through_gateway(session, sdk_type=sdk_type, gzipped=gzipped)
        due_s = iter([number / 40 for number in range(40)])
        engine.add(UserPlan(user_id=me, address=address, targets=[target], due_s=due_s))
    await _until(lambda: all(map(engine.is_ready, ids)))
    await asyncio.sleep(1.2)
    ended = engine.finish(settle_s=0.5, deadline_s=5)
    await _until(lambda: ended.done)
    judged = judge_run([path], settle_s=0.5)[1]
    assert judged.delivery is not None
    assert judged.pushes is not None
    assert judged.delivery.acked == 80
    assert judged.delivery.count("received") == 160
    assert {judged.delivery.judgement.verdict, judged.pushes.verdict} == {Verdict.HOLDS}


async def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
