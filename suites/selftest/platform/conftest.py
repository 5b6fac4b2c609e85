"""One world for all tests of the platform; each test signs its own users up in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from fixtures.clients.gateway import Gateway, Session
from fixtures.clients.platform_admin import PlatformAdmin
from fixtures.stack import Stack
from fixtures.world import WorldConfig
from suites.selftest.platform.looking import Looking, looking_at

_numbers = count(1)


@pytest.fixture
def anyio_backend() -> str:
    """The loop that the services run on too."""
    return "asyncio"


@pytest.fixture(scope="package")
def config(stack: Stack) -> Iterator[WorldConfig]:
    """A mixed world, shared by this package."""
    with stack.new_world() as world:
        yield world.config


@pytest.fixture
async def gateway(config: WorldConfig) -> AsyncIterator[Gateway]:
    """A client of the world's gateway."""
    async with Gateway(config.gateway) as client:
        yield client


@pytest.fixture
async def admin(config: WorldConfig) -> AsyncIterator[PlatformAdmin]:
    """Whoever runs the platform."""
    async with PlatformAdmin(config) as client:
        yield client


@pytest.fixture
async def stores(config: WorldConfig) -> AsyncIterator[Looking]:
    """The world's stores, to look into."""
    async with looking_at(config) as found:
        yield found


def new_phone() -> str:
    """A phone number that no other test uses."""
    return f"+4930{next(_numbers):07d}"


async def sign_up(gateway: Gateway, nickname: str = "Somebody", *, platform: int = 2) -> Session:
    """A new user, signed in."""
    return await gateway.sign_up(new_phone(), nickname, platform=platform)
