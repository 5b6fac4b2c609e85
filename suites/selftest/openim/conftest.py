"""What the double's own tests share."""

from __future__ import annotations

import pytest

from fixtures.openim.state import State
from suites.selftest.openim.doubles import ADMIN, SECRET, Clock


@pytest.fixture
def anyio_backend() -> str:
    """The product runs on asyncio alone."""
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    """The state's clock."""
    return Clock()


@pytest.fixture
def state(clock: Clock) -> State:
    """An empty double."""
    return State(secret=SECRET, admin_ids=[ADMIN, "verifier_admin"], clock=clock)
