"""What the double's own tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.deadline import Deadline
from fixtures.openim.state import State
from fixtures.rundir import RunDir
from fixtures.services.mongo import Mongo
from suites.selftest.openim.databases import Databases, Place
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


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Databases on a MongoDB-wire server of the double's tests."""
    run = RunDir.claim(tmp_path_factory.mktemp("openim-mongo"))
    try:
        yield Databases(Mongo.start(run, Deadline(60)))
    finally:
        run.release()


@pytest.fixture
def place(databases: Databases) -> Iterator[Place]:
    """An empty database."""
    with databases.fresh() as fresh:
        yield fresh
