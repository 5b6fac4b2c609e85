"""A run that is killed with SIGKILL and resumed says and leaves behind what an undisturbed one does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.stack.stack import Stack
from tests.verifier.engine.killing import Arena, arena, compare

pytestmark = pytest.mark.timeout(400)

POINTS, SEED = 4, 20261125


@pytest.fixture(scope="module")
def broken(stack: Stack) -> Iterator[Arena]:
    """A frozen world with its baseline, broken afterwards."""
    with arena(stack) as made:
        yield made


def test_resumed_equals_undisturbed(broken: Arena) -> None:
    """Verdicts, coverage, findings and how often they were seen, readings, runs and exit code: at some random points.

    `python -m tests.verifier.engine.killing --points 50` is the long form.
    """
    said: list[str] = []
    assert compare(broken, POINTS, SEED, said.append) == [], said
