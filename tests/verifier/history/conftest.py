"""Histories in memory, in a file and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.processes.deadline import Deadline
from fixtures.processes.rundir import RunDir
from fixtures.services.postgres import Postgres
from verifier.history import History


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty PostgreSQL database."""
    run = RunDir.claim(tmp_path_factory.mktemp("history-postgres"))
    server = Postgres.start(run, Deadline(60))
    try:
        yield server.admin_url
    finally:
        server.stop()
        run.release()


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL or path for each kind of database."""
    match request.param:
        case "memory":
            return "memory:"
        case "file":
            return str(tmp_path / "history.db")
        case _:
            url: str = request.getfixturevalue("postgres_url")
            return url


@pytest.fixture
def history(place: str, request: pytest.FixtureRequest) -> Iterator[History]:
    """An open history of a stack that only this test uses."""
    with History.open(place, stack=f"stack of {request.node.nodeid}") as opened:
        yield opened
