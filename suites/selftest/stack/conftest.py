"""What the tests of the stack share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.process import Command, OwnedProcess
from fixtures.rundir import RunDir
from fixtures.stack import Stack


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    """A run directory, released at the end."""
    claimed = RunDir.claim(tmp_path / "run")
    yield claimed
    claimed.release()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of the quick stores, for tests that leave the servers alive."""
    with Stack.start(tmp_path_factory.mktemp("stores"), broker="off") as stack:
        yield stack


def python(run: RunDir, code: str, *, name: str = "script", grace_s: float = 5.0) -> OwnedProcess:
    """An owned process that runs Python code; not started."""
    command = Command(name=name, argv=[sys.executable, "-c", code], cwd=run.path, grace_s=grace_s)
    return OwnedProcess(command, run)
