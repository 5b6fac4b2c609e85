"""The backlog of a run follows from when messages were acknowledged and when they became readable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from load.journal.layout import OK, Kind, message_number
from load.journal.reader import ColumnReader
from load.judging.backlog import backlog_of, slope
from load.judging.loading import load_run
from load.results import BacklogResult
from tests.load.journals import writer

MS = 1_000_000


def recorded(path: Path, *, seconds: int, sent_per_s: int, stored_per_s: float, lost_every: int = 0) -> BacklogResult:
    """A run that sends evenly; each message is acknowledged after 1 ms, and pushed when the server has stored it."""
    journal = writer(path)
    lane, base = journal.lane(0, 0), 1_000_000_000
    free_ns, seq, lost = 0.0, 0, []
    for count in range(1, seconds * sent_per_s + 1):
        at_ns = base + count * 1_000_000_000 // sent_per_s
        number = message_number(0, count)
        journal.event(Kind.SEND, at_ns, lane, number, a=at_ns)
        journal.event(Kind.ACK, at_ns + MS, lane, number, OK, b=count)
        if lost_every and count % lost_every == 0:
            lost.append(count - 1)
            continue
        free_ns = max(free_ns, at_ns + MS) + 1e9 / stored_per_s
        seq += 1
        journal.event(Kind.PUSHED, round(free_ns), 1, number, OK, 0, seq, count)
    journal.close()
    found = backlog_of(load_run([ColumnReader(path)]), np.array(lost, np.int64))
    assert found is not None
    return found


def test_a_server_that_keeps_up_has_no_backlog(tmp_path: Path) -> None:
    """A few messages are on their way, none for long, and the backlog does not grow."""
    found = recorded(tmp_path / "a.columns", seconds=10, sent_per_s=100, stored_per_s=500)
    assert found.unstored_most <= 1
    assert found.drain_s == pytest.approx(0, abs=0.01)
    assert not found.grows


@pytest.mark.parametrize("lost_every", [0, 7])
def test_a_server_that_is_too_slow_has_a_backlog_that_grows(tmp_path: Path, lost_every: int) -> None:
    """What is left at the end, how long it takes to drain, and how fast it grew; lost messages do not count."""
    found = recorded(tmp_path / "a.columns", seconds=10, sent_per_s=100, stored_per_s=60, lost_every=lost_every)
    sent = 1000 - (1000 // lost_every if lost_every else 0)
    assert found.unstored_at_end == pytest.approx(sent - 600, abs=3)
    assert found.unstored_most == pytest.approx(sent - 600, abs=3)
    assert found.drain_s == pytest.approx((sent - 600) / 60, abs=0.1)
    assert found.drained_per_s == pytest.approx(60, abs=1)
    assert found.grows
    assert found.growth_per_s == pytest.approx(sent / 10 - 60, abs=2)


def test_the_interval_of_a_slope_contains_the_truth() -> None:
    """For most samples of a line with noise."""
    rng = np.random.default_rng(1)
    seconds = np.arange(0, 20, 0.25)
    within = 0
    for _ in range(200):
        found = slope(seconds, 3 * seconds + rng.normal(0, 5, len(seconds)))
        assert found is not None
        within += abs(found.per_s - 3) <= found.error_per_s
    assert within >= 190
    assert slope(seconds[:9], seconds[:9]) is None
