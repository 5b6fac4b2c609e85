"""Fixtures of the journeys: one world, two users, and a journal that is judged at the end of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import allure
import pytest

from fixtures.clients.gateway import Gateway
from fixtures.clients.platform_admin import PlatformAdmin
from fixtures.clients.world import WorldConfig
from fixtures.platform.inspect import StoreInspector, open_stores
from suites.journeys import match, must
from suites.journeys.actors import Actor, Journey, enter
from verifier.judges.delivery import judge_delivery
from verifier.judges.journal import JournalWriter
from verifier.judges.journal_reader import JournalReader
from verifier.judges.order import judge_order
from verifier.judges.pushes import judge_push_once

_phones = count(1)

ON_A_USERS_STACK = (
    "journeys move conversations and read the legacy stores, which needs the embedded platform; "
    "for your own stack, use the canary (python -m suites.canary)"
)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="package")
def config(request: pytest.FixtureRequest) -> Iterator[WorldConfig]:
    """A world in mixed mode, shared by the journeys. With `--profile` they are skipped."""
    if request.config.getoption("--profile", None):
        pytest.skip(ON_A_USERS_STACK)
    with request.getfixturevalue("stack").new_world() as world:
        yield world.config


@pytest.fixture
async def gateway(config: WorldConfig) -> AsyncIterator[Gateway]:
    """A client of the world's gateway."""
    async with Gateway(config.gateway) as client:
        yield client


@pytest.fixture
async def admin(config: WorldConfig) -> AsyncIterator[PlatformAdmin]:
    """The platform's administration."""
    async with PlatformAdmin(config) as client:
        yield client


@pytest.fixture
async def stores(config: WorldConfig) -> AsyncIterator[StoreInspector]:
    """The world's stores, read directly."""
    async with open_stores(config) as found:
        yield found


@pytest.fixture
def journey(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journey]:
    """A recorded journey. At its end no message may be lost, duplicated, changed, out of order or pushed twice."""
    path = tmp_path / "journey.jsonl"
    with JournalWriter(path, run_id=request.node.name, kind="journey", stack="embedded") as writer:
        yield Journey(writer)
    attach: Any = allure.attach  # untyped
    attach.file(str(path), "journal", extension="jsonl")
    operations = list(JournalReader(path))
    delivery = judge_delivery(operations, settle_s=0)
    for judgement in (delivery.judgement if delivery else None, judge_order(operations), judge_push_once(operations)):
        if judgement is not None:
            must.match(
                [problem.summary for problem in judgement.problems], match.equal([]), what="the journal's judges"
            )


@pytest.fixture
async def alice(gateway: Gateway, journey: Journey) -> Actor:
    """The user who starts the conversation."""
    return await enter(gateway, journey, "alice", _phone())


@pytest.fixture
async def bob(gateway: Gateway, journey: Journey) -> Actor:
    """The user who answers."""
    return await enter(gateway, journey, "bob", _phone(), platform=1)


def _phone() -> str:
    return f"+4939{next(_phones):07d}"
