"""Clock skew is measured with its uncertainty, and reported only where it certainly exceeds the bound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from verifier.stores.errors import Unreachable
from verifier.stores.skew import VERIFIER, Offset, apart, measure


class _Store:
    """A store whose clock is some seconds ahead; None: its clock cannot be read."""

    def __init__(self, ahead_s: float | None, grain_s: float = 0.0) -> None:
        self._ahead_s = ahead_s
        self.clock_grain_s = grain_s

    async def clock(self) -> datetime:
        if self._ahead_s is None:
            raise Unreachable("s cannot be reached")
        return datetime.now(UTC) + timedelta(seconds=self._ahead_s)


@pytest.mark.anyio
async def test_an_offset_has_the_grain_of_the_clock_in_its_uncertainty() -> None:
    """The offset is that of the store's clock, and None where the clock cannot be read."""
    store: Any = _Store(30, grain_s=0.5)
    found = await measure(store)
    assert found is not None
    assert found.seconds == pytest.approx(30, abs=0.2)
    assert 0.5 <= found.uncertain_s < 0.7
    unreadable: Any = _Store(None)
    assert await measure(unreadable) is None


@pytest.mark.parametrize(
    ("offsets", "clocks", "text"),
    [
        ({"a": 3.0, "b": 0.0}, ("a", "b"), "a is 3.0 s ahead of b (at most 2 s, timing.clock_skew_max_s)"),
        ({"a": -3.0}, ("a", VERIFIER), f"{VERIFIER} is 3.0 s ahead of a (at most 2 s, timing.clock_skew_max_s)"),
        ({"a": 2.1, "b": 0.0}, ("a", "b"), None),
        ({"a": 9.0, "b": 0.0}, ("b", VERIFIER), None),
        ({"a": 9.0}, ("a", "unmeasured"), None),
    ],
    ids=["apart", "behind the verifier", "within the uncertainty", "not asked for", "not measured"],
)
def test_clocks_apart(offsets: dict[str, float], clocks: tuple[str, ...], text: str | None) -> None:
    """Only the clocks that are asked for are compared, and their uncertainties are in their favour."""
    measured = {name: Offset(seconds, 0.1) for name, seconds in offsets.items()}
    assert apart(measured, clocks, 2.0) == text
