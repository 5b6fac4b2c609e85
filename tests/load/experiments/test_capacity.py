"""The capacity search on simulated servers, with and without noise."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from load.experiments.capacity import TRIALS_MAX, Capacity, search
from load.results import Trial
from verifier.model.verdict import ExitCode


def _server(limit_per_s: float, *, generator_per_s: float = float("inf")) -> Any:
    def measure(per_s: float) -> Trial:
        if per_s > generator_per_s:
            return Trial(per_s=per_s, outcome="generator", why=("98 % of a core",))
        held = per_s <= limit_per_s
        return Trial(per_s=per_s, outcome="held" if held else "broke", why=() if held else ("send_p99_ms: 900",))

    return measure


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.sampled_from([0.02, 0.1, 0.5]))
def test_a_sharp_limit_is_found(limit_per_s: float, start_per_s: float, precision: float) -> None:
    """From any start the interval contains the limit, is narrow enough, and its lower end was repeated."""
    found = search(_server(limit_per_s), start_per_s=start_per_s, precision=precision)
    assert found.sustained_per_s is not None
    assert found.broken_per_s is not None
    assert found.sustained_per_s <= limit_per_s < found.broken_per_s <= found.sustained_per_s * (1 + precision)
    assert found.passes(found.sustained_per_s) == 3
    assert found.exit_code is ExitCode.HOLDS


@given(st.floats(100, 1e4), st.integers(0, 2**32))
def test_no_rate_at_or_below_the_sustained_one_ever_broke(limit_per_s: float, seed: int) -> None:
    """Near its limit a server holds only sometimes; the search still ends."""
    rng = random.Random(seed)  # noqa: S311 - a simulated server

    def measure(per_s: float) -> Trial:
        held = per_s < limit_per_s * rng.uniform(0.8, 1.2)
        return Trial(per_s=per_s, outcome="held" if held else "broke", why=() if held else ("x",))

    found = search(measure, start_per_s=50)
    assert len(found.trials) <= TRIALS_MAX
    assert found.sustained_per_s is not None
    assert all(one.outcome == "held" for one in found.trials if one.per_s <= found.sustained_per_s)
    assert found.sustained_per_s < 1.2 * limit_per_s


@given(st.floats(10, 1e4))
def test_a_generator_at_its_limit_makes_the_result_inconclusive(generator_per_s: float) -> None:
    """The server may sustain more, and the text says that the generator is the limit."""
    found = search(_server(1e9, generator_per_s=generator_per_s), start_per_s=5)
    assert found.exit_code is ExitCode.INCONCLUSIVE
    assert found.sustained_per_s is not None
    assert found.sustained_per_s <= generator_per_s
    assert "generator is the limit" in found.to_text()


def test_a_rate_that_breaks_on_a_repeat_is_not_sustained() -> None:
    """The search continues below, until a rate holds in every trial."""
    seen: list[float] = []

    def measure(per_s: float) -> Trial:
        seen.append(per_s)
        held = (per_s <= 1000 and seen.count(1000) < 2) or per_s < 800
        return Trial(per_s=per_s, outcome="held" if held else "broke")

    found = search(measure, start_per_s=1000)
    assert found.sustained_per_s is not None
    assert found.sustained_per_s < 800 <= (found.broken_per_s or 0)
    assert found.passes(found.sustained_per_s) == 3


def test_a_server_that_sustains_no_rate_is_a_violation() -> None:
    """The text says that no rate held."""
    found = search(_server(0), start_per_s=10)
    assert found.exit_code is ExitCode.VIOLATED
    assert "No rate held" in found.to_text()


def test_the_text_states_the_confidence() -> None:
    """Three of three trials give a probability of 37 % only."""
    text = search(_server(100), start_per_s=10).to_text()
    assert "in 3 of 3 trials" in text
    assert "37%" in text
    assert "send_p99_ms: 900" in text
    assert Capacity().exit_code is ExitCode.VIOLATED
