"""Histograms of latencies."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.engine.figures import Latency


@given(
    st.lists(st.integers(1_000, 10**12), min_size=1, max_size=200), st.lists(st.integers(1_000, 10**12), max_size=50)
)
def test_merged_histograms_are_those_of_all_times(first: list[int], second: list[int]) -> None:
    """Encoded and merged histograms of two workers equal the histogram of all times, within 0.2 %."""
    one, other, both = Latency(), Latency(), Latency()
    one.add_ns(array("q", first))
    other.add_ns(array("q", second))
    both.add_ns(array("q", first + second))
    one.merge(other.encode())
    assert one.percentiles_ms() == both.percentiles_ms()
    exact_ms = sorted(first + second)[-1] / 1e6
    assert one.percentiles_ms()[99.9] == pytest.approx(exact_ms, rel=0.002, abs=0.002) or len(first + second) > 1000
