"""Arrival models: due times, ramps, traces, and the pace of one sender."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.config import ArrivalModel
from load.engine.arrival import Pace, due_times, ramp_times, trace_times


@given(st.sampled_from(["even", "poisson"]), st.floats(0.01, 1000), st.integers())
def test_due_times_ascend_and_keep_their_rate(model: ArrivalModel, rate_per_s: float, seed: int) -> None:
    """Message n is due at about n / rate, whatever the server does."""
    due = list(itertools.islice(due_times(model, rate_per_s, random.Random(seed)), 400))  # noqa: S311 - arrivals
    assert due == sorted(due)
    assert due[0] >= 0
    assert 0.6 < due[-1] * rate_per_s / 400 < 1.6


def test_a_sender_that_falls_behind_sends_at_once_and_reports_its_lateness() -> None:
    """A pause of the server shows as lateness, and no message is skipped."""
    pace = Pace(iter([1.0, 2.0, 3.0, 10.0]), started_s=100.0)
    assert pace.wait_s(100.0) == 1.0
    assert pace.take(104.0) == 3.0
    assert (pace.wait_s(104.0), pace.take(104.0)) == (0.0, 2.0)
    assert (pace.take(104.0), pace.wait_s(104.0)) == (1.0, 6.0)


def test_a_rate_of_zero_is_refused() -> None:
    """The message says what a rate must be."""
    with pytest.raises(ValueError, match="must be greater than 0"):
        due_times("even", 0, random.Random())  # noqa: S311 - arrivals


@given(st.floats(0, 50), st.floats(1, 100), st.floats(0.5, 20))
def test_a_ramp_sends_as_many_messages_as_its_area(from_per_s: float, to_per_s: float, over_s: float) -> None:
    """Within the ramp the number of due messages follows from its mean rate."""
    due = list(itertools.islice(ramp_times(from_per_s, to_per_s, over_s), 3000))
    assert due == sorted(due)
    in_ramp = sum(at <= over_s + 1e-9 for at in due)
    assert abs(in_ramp - min(3000, int((from_per_s + to_per_s) / 2 * over_s))) <= 1


def test_a_trace_must_hold_ascending_numbers(tmp_path: Path) -> None:
    """A line that goes back in time, or is not a number, is named by its number."""
    path = tmp_path / "trace"
    path.write_text("# seconds\n0.5\n\n1.25\n")
    assert trace_times(path) == [0.5, 1.25]
    for text, line in (("1\n0.5\n", 2), ("1\nx\n", 2), ("nan\n", 1)):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"line {line} "):
            trace_times(path)
