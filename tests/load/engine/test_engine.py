"""The judgement of a run over the WebSocket reports exactly the messages that the double lost, duplicated or reordered."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.load.doubled import Double, Drive, poisson
from verifier.model.invariant import Problem
from verifier.model.verdict import Verdict

SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(3, 20))]
SECONDS, PER_S = 1.0, 60.0


pytestmark = [pytest.mark.long, pytest.mark.usefixtures("honest_afterwards")]


def named(problems: Sequence[Problem], what: str) -> set[str]:
    """The messages with a problem of this kind."""
    return {(problem.key or "").split(" ")[0] for problem in problems if what in problem.summary}


def drive(double: Double, path: Path, seed: int, seconds: float = SECONDS) -> Drive:
    """A run after its last send, before it is judged."""
    run = Drive(double, path, seed=seed)
    run.start(poisson(PER_S, seconds, after_s=0.1))
    time.sleep(seconds + 0.8)
    return run


@pytest.mark.parametrize("sdk_type", ["js", "go"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_without_faults_no_problem_is_reported(tmp_path: Path, double: Double, sdk_type: str, gzipped: bool) -> None:
    """In both encodings, plain and compressed, every message is acknowledged, read back and pushed to both users."""
    seed = 100 + 2 * gzipped + (sdk_type == "js")
    run = Drive(double, tmp_path / "a.columns", seed=seed, sdk_type=sdk_type, gzip=gzipped, window=4)
    run.start(poisson(PER_S, SECONDS, after_s=0.1))
    time.sleep(SECONDS + 0.3)
    judged = run.judge()
    assert judged.delivery is not None
    assert judged.order is not None
    assert judged.pushes is not None
    assert judged.delivery.acked == judged.delivery.sent > PER_S
    assert judged.delivery.count("received") == 2 * judged.delivery.acked == judged.pushes.total
    assert {judged.delivery.judgement.verdict, judged.order.verdict, judged.pushes.verdict} == {Verdict.HOLDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_lost_messages_are_reported(tmp_path: Path, double: Double, seed: int) -> None:
    """Messages that are acknowledged and not stored are reported for both users, and no others."""
    double.faults(seed=seed, lose={"rate": 0.1})
    judged = drive(double, tmp_path / "a.columns", seed).judge()
    assert judged.delivery is not None
    lost = double.markers("lose")
    assert named(judged.delivery.problems, "was acknowledged") == lost != set()
    assert judged.delivery.problems_total == judged.delivery.count("lost") == 2 * len(lost)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_burst_is_reported(tmp_path: Path, double: Double, seed: int) -> None:
    """A batch that is too large is acknowledged and lost as a whole [F67]: exactly its messages are reported, without a gap in the seqs."""
    double.faults(seed=seed, burst={"limit": 10, "windowMs": 100})

    def bursts(rng: random.Random) -> Iterator[float]:
        for second in range(4):
            yield from [0.1 + second * 0.4] * rng.choice((4, 8, 30))

    run = Drive(double, tmp_path / "a.columns", seed=seed, window=16)
    run.start(bursts)
    time.sleep(2.2)
    judged = run.judge()
    assert judged.delivery is not None
    assert named(judged.delivery.problems, "was acknowledged") == double.markers("burst")
    assert judged.delivery.problems_total == judged.delivery.count("lost")


@pytest.mark.parametrize("seed", SEEDS)
def test_messages_that_are_stored_twice_are_reported(tmp_path: Path, double: Double, seed: int) -> None:
    """Messages with one send and two seqs are reported for both users, and no others."""
    double.faults(seed=seed, storeTwice={"rate": 0.1})
    judged = drive(double, tmp_path / "a.columns", seed).judge()
    assert judged.delivery is not None
    assert named(judged.delivery.problems, "was sent once") == double.markers("storeTwice") != set()
    assert judged.delivery.problems_total == judged.delivery.count("duplicated")


@pytest.mark.parametrize("seed", SEEDS)
def test_messages_that_are_stored_out_of_order_are_reported(tmp_path: Path, double: Double, seed: int) -> None:
    """Messages that were acknowledged before the next one was begun and are stored after it are reported; delivery holds."""
    double.faults(seed=seed, reorder={"rate": 0.1})
    judged = drive(double, tmp_path / "a.columns", seed).judge()
    assert judged.delivery is not None
    assert judged.order is not None
    assert named(judged.order.problems, "comes before it") == double.markers("reorder") != set()
    assert judged.delivery.judgement.verdict is Verdict.HOLDS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("pushTwice", "was pushed twice"),
        ("reorderPush", "was pushed after a later one"),
        ("notPushed", "was stored and never pushed"),
    ],
)
def test_wrong_pushes_are_reported(tmp_path: Path, double: Double, seed: int, fault: str, sentence: str) -> None:
    """Messages that are pushed twice, late or never are reported for both connections; delivery and order hold."""
    double.faults(seed=seed, **{fault: {"rate": 0.1}})
    judged = drive(double, tmp_path / "a.columns", seed).judge()
    assert judged.delivery is not None
    assert judged.order is not None
    assert judged.pushes is not None
    affected = double.markers(fault)
    assert named(judged.pushes.problems, sentence) == affected != set()
    assert judged.pushes.problems_total == 2 * len(affected)
    assert {judged.delivery.judgement.verdict, judged.order.verdict} == {Verdict.HOLDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_push_gap_is_reported_if_it_is_longer_than_the_warm_up(tmp_path: Path, double: Double, seed: int) -> None:
    """Missing pushes to a new connection are reported after the warm-up, and not before."""
    double.faults(pushGapS=0.8)
    judged = drive(double, tmp_path / "a.columns", seed).judge()
    assert judged.pushes is not None
    assert named(judged.pushes.problems, "never pushed") == double.markers("pushGap") != set()
    double.faults(pushGapS=0.8)
    warm = Drive(double, tmp_path / "b.columns", seed=seed, warm_up_s=1.0)
    warm.start(poisson(PER_S, SECONDS))
    time.sleep(SECONDS + 0.2)
    judged = warm.judge()
    assert judged.pushes is not None
    assert judged.pushes.verdict is Verdict.HOLDS


@pytest.mark.parametrize("processed", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_half_open_connections_cause_no_problem(tmp_path: Path, double: Double, seed: int, processed: bool) -> None:
    """Sends on a silent connection are unknown, or recovered if they arrived; nothing else is affected."""
    run = Drive(double, tmp_path / "a.columns", seed=seed)
    run.start(poisson(PER_S, 3.0, after_s=0.3))
    double.faults(seed=seed, halfOpen={"rate": 0.05, "limit": 2, "processed": processed, "users": run.users[::2]})
    time.sleep(4.5)
    judged = run.judge(deadline_s=2.0)
    assert judged.delivery is not None
    affected = double.log("halfOpen")
    assert len(affected) == 2
    assert judged.delivery.unknown_sends == 2
    assert judged.delivery.recovered_sends == (2 if processed else 0)
    assert judged.delivery.acked == judged.delivery.sent - 2
    problems = [*judged.delivery.problems, *(judged.order.problems if judged.order else ())]
    assert [*problems, *(judged.pushes.problems if judged.pushes else ())] == []
