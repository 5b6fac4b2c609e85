"""Thinning out horizons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from verifier.history.positions import ALL_MAX, KEEP_DAILY, KEEP_HOURLY, superfluous

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ages_s = st.lists(st.integers(min_value=0, max_value=500 * 86_400), max_size=300)


@given(ages_s)
def test_what_is_kept_is_bounded_and_still_answers(ages: list[int]) -> None:
    """The newest stays, nothing is too old, each hour and day keeps its first, thinning twice changes nothing."""
    times = {NOW - timedelta(seconds=age) for age in ages}
    kept = times - superfluous(times, NOW)
    assert superfluous(kept, NOW) == set()
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


def test_the_last_hour_is_kept_whole_up_to_a_bound() -> None:
    """A demo that takes readings every second keeps them; a runaway loop does not grow for ever."""
    seconds = {NOW - timedelta(seconds=second) for second in range(60)}
    assert superfluous(seconds, NOW) == set()
    flood = {NOW - timedelta(milliseconds=step) for step in range(3000)}
    assert len(flood - superfluous(flood, NOW)) <= ALL_MAX + 1
