"""A server that stores behind its acknowledgements: nothing that is only late is called lost, and every loss is found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from load.judging.account import Judged
from tests.load.doubled import Double, Drive, poisson
from tests.load.engine.test_engine import named
from verifier.model.verdict import Verdict

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("honest_afterwards")]

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 20))]
SECONDS, PER_S, PAIRS = 1.5, 60.0, 3
QUIET_S = 1.0


def judged(double: Double, path: Path, seed: int, *, deadline_s: float = 60, **faults: object) -> Judged:
    """A run that sends `PER_S` × `PAIRS` messages per second for a while."""
    double.faults(seed=seed, storeBatchMs=100, **faults)
    run = Drive(double, path, seed=seed, pairs=PAIRS, window=4)
    run.start(poisson(PER_S, SECONDS, after_s=0.1))
    time.sleep(SECONDS + 0.3)
    return run.judge(deadline_s=deadline_s, quiet_s=QUIET_S)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("store_rate", [40.0, 120.0, 1000.0])
def test_what_is_late_is_not_lost(tmp_path: Path, double: Double, seed: int, store_rate: float) -> None:
    """The read-back waits for the queue: everything is received, and no push is missed."""
    found = judged(double, tmp_path / "a.columns", seed, storeRate=store_rate)
    assert found.delivery is not None
    assert found.pushes is not None
    assert found.delivery.count("lost") == found.delivery.count("unknown") == 0
    assert found.delivery.count("received") == 2 * found.delivery.acked
    assert found.pushes.verdict is Verdict.HOLDS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("store_rate", [60.0, 1000.0])
def test_exactly_what_is_lost_is_reported(tmp_path: Path, double: Double, seed: int, store_rate: float) -> None:
    """Behind a queue that drains, too."""
    found = judged(double, tmp_path / "a.columns", seed, storeRate=store_rate, lose={"rate": 0.1})
    assert found.delivery is not None
    assert named(found.delivery.problems, "was acknowledged") == double.markers("lose") != set()
    assert found.delivery.count("unknown") == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_at_the_deadline_the_rest_is_unknown(tmp_path: Path, double: Double, seed: int) -> None:
    """While the queue drains, nothing is known to be lost; pushes that come after the end are not due."""
    found = judged(double, tmp_path / "a.columns", seed, storeRate=30.0, deadline_s=0.5)
    assert found.delivery is not None
    assert found.pushes is not None
    assert found.delivery.count("lost") == 0
    assert found.delivery.count("unknown") > 0
    assert found.pushes.problems == ()
    assert found.delivery.judgement.verdict is Verdict.INCONCLUSIVE
