"""Figures in locust's statistics."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st
from locust.stats import RequestStats, StatsEntry

from load.monitoring.statistics_bridge import log_many


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=50), st.integers(0, 1000))
def test_many_response_times_are_logged_like_single_ones(times_ms: list[int], size: int) -> None:
    """The entry has the same counts, times and sizes as after one `log` for each."""
    many, single = (StatsEntry(RequestStats(), "send", "WS", use_response_times_cache=False) for _ in range(2))
    log_many(many, array("q", [time_ms * 1_000_000 for time_ms in times_ms]), size)
    for time_ms in times_ms:
        single.log(time_ms, size)
    for name in ("num_requests", "total_response_time", "min_response_time", "max_response_time", "response_times"):
        assert getattr(many, name) == getattr(single, name), name
    assert many.total_content_length == single.total_content_length
    assert sum(many.num_reqs_per_sec.values()) == sum(single.num_reqs_per_sec.values())
