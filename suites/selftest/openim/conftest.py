"""What the double's own tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fixtures.deadline import Deadline
from fixtures.openim.state import State
from fixtures.rundir import RunDir
from fixtures.services.mongo import Mongo
from suites.selftest.openim.databases import Databases, Place
from suites.selftest.openim.doubles import ADMIN, SECRET, Clock, Failures


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The product runs on asyncio alone, with uvloop's event loop."""
    return "asyncio", {"use_uvloop": True}


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


@pytest.fixture
def no_failures() -> Iterator[Failures]:
    """Nothing may be logged as a failure: no traceback, no unhandled exception of a handler, a listener or a task."""
    failures = Failures()
    watched = [logging.getLogger(name) for name in ("fixtures.openim", "picows", "asyncio")]
    for logger in watched:
        logger.addHandler(failures)
    yield failures
    for logger in watched:
        logger.removeHandler(failures)
    assert not failures.told
