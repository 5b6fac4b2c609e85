"""Fixtures of the load tests: a double in another process, without faults at the beginning and the end of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.load.doubled import ADMIN, SECRET, Double, a_double


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    """One server for all runs of a module; each run has its own users or its own fault log."""
    with a_double() as running:
        yield running


@pytest.fixture
def honest_afterwards(double: Double) -> Iterator[None]:
    """Switch the double's faults off after a test."""
    yield
    double.faults()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The double's credentials in the environment."""
    monkeypatch.setenv("OPENIM_SECRET", SECRET)
    monkeypatch.setenv("OPENIM_ADMIN", ADMIN)
