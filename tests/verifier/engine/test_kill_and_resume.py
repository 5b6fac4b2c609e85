"""A run that is killed with SIGKILL and resumed has the same result as an uninterrupted run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.stack.stack import Stack
from tests.verifier.engine.killing import Arena, arena, compare

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

POINTS, SEED = 4, 20261125


@pytest.fixture(scope="module")
def broken(stack: Stack) -> Iterator[Arena]:
    """A frozen world with its baseline, with faults planted afterwards."""
    with arena(stack) as made:
        yield made


def test_a_resumed_run_equals_an_uninterrupted_run(broken: Arena) -> None:
    """Verdicts, coverage, findings, watermarks, runs and exit code are the same, for kills at random times.

    `python -m tests.verifier.engine.killing --points 50` runs more kills.
    """
    log: list[str] = []
    assert compare(broken, POINTS, SEED, log.append) == [], log
