"""Positions are thinned out as they age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from verifier.history.retention import ALL_MAX, KEEP_DAILY, KEEP_HOURLY, positions_to_drop

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ages_s = st.lists(st.integers(min_value=0, max_value=500 * 86_400), max_size=300)


@given(ages_s)
def test_the_first_position_of_each_hour_and_day_is_kept(ages: list[int]) -> None:
    """The newest position is kept, none exceeds the maximum age, and thinning twice changes nothing."""
    times = {NOW - timedelta(seconds=age) for age in ages}
    kept = times - positions_to_drop(times, NOW)
    assert positions_to_drop(kept, NOW) == set()
    if times:
        assert max(times) in kept
    for at in times:
        if timedelta(hours=1) < NOW - at <= KEEP_HOURLY:
            assert any(f"{other:%j %H}" == f"{at:%j %H}" and other <= at for other in kept)
        elif KEEP_HOURLY < NOW - at <= KEEP_DAILY:
            assert any(other.date() == at.date() and other <= at for other in kept)
    old = {at for at in kept if NOW - at > KEEP_HOURLY} - {max(times, default=NOW)}
    assert all(NOW - at <= KEEP_DAILY for at in old)
    assert len({at.date() for at in old}) == len(old)


def test_all_positions_of_the_last_hour_are_kept_up_to_a_bound() -> None:
    """One position a second is kept in full; 3000 in three seconds are not."""
    seconds = {NOW - timedelta(seconds=second) for second in range(60)}
    assert positions_to_drop(seconds, NOW) == set()
    flood = {NOW - timedelta(milliseconds=step) for step in range(3000)}
    assert len(flood - positions_to_drop(flood, NOW)) <= ALL_MAX + 1
