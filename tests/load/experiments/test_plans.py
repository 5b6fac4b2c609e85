"""Runs that are written down: the command they stand for, thresholds, and the generator's own fitness."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.engine.figures import Latency
from load.experiments.plans import Thresholds, read_plan, run_plan
from load.monitoring.generator_health import Fitness
from load.settings import SettingsError
from load.users.arrival import ramp_times, trace_times
from tests.load.doubled import ADMIN, SECRET, a_double
from verifier.model.verdict import ExitCode


def test_a_plan_is_run_and_held_to_its_thresholds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest server within reach: exit 0; the same run with a threshold that nothing can reach: exit 1, named."""
    monkeypatch.setenv("OPENIM_SECRET", SECRET)
    monkeypatch.setenv("OPENIM_ADMIN", ADMIN)
    with a_double() as double:
        text = f"""
            out_dir = "{tmp_path}"
            [target]
            host = "{double.api_url}"
            ws_url = "{double.ws_url}"
            [load]
            users = 4
            duration_s = 4
            rate = 20
            settle_s = 0.3
            late_most_ms = 2000
            [thresholds]
            sent_least = 20
        """
        plan = tmp_path / "plan.toml"
        plan.write_text(text)
        done = run_plan(read_plan(plan))
        assert (done.code, done.broken) == (ExitCode.HOLDS, ())
        plan.write_text(text + "send_p50_ms = 0.0001\n")
        done = run_plan(read_plan(plan))
        code, broken = done.code, done.broken
    assert code is ExitCode.VIOLATED
    assert [line.split(":")[0] for line in broken] == ["send_p50_ms"]
    report = json.loads(min(tmp_path.glob("load-*.json")).read_text())
    assert 0 < report["latency_ms"]["send"]["p50"] < report["latency_ms"]["push"]["p99.9"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[load]\nusers = 1\nduration_s = 1", "target"),
        ("[target]\n[load]\nusers = 0\nduration_s = 1", "load.users"),
        ("[target]\n[load]\nusers = 1\nduration_s = 1\nusres = 2", "load.usres"),
        ("[target", "is no TOML"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_the_field(tmp_path: Path, text: str, says: str) -> None:
    """A sentence that names the place, no traceback."""
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_plan(path)


def test_a_number_that_is_not_there_is_not_reached() -> None:
    """A threshold is never passed for want of a measurement."""
    assert Thresholds(push_p99_ms=5).broken_by({"latency_ms": {}}) == ["push_p99_ms: the report holds no such number"]


@given(st.floats(0, 50), st.floats(1, 100), st.floats(0.5, 20))
def test_a_ramp_sends_as_many_as_its_area(from_per_s: float, to_per_s: float, over_s: float) -> None:
    """In the ramp's time as many messages are due as its mean rate says, then the rate stays."""
    due = list(itertools.islice(ramp_times(from_per_s, to_per_s, over_s), 3000))
    assert due == sorted(due)
    in_ramp = sum(at <= over_s + 1e-9 for at in due)
    assert abs(in_ramp - min(3000, int((from_per_s + to_per_s) / 2 * over_s))) <= 1


def test_a_trace_is_read_in_order_or_not_at_all(tmp_path: Path) -> None:
    """Seconds a line; one that goes back, or is no number, is named by its line."""
    path = tmp_path / "trace"
    path.write_text("# seconds\n0.5\n\n1.25\n")
    assert trace_times(path) == [0.5, 1.25]
    for text, line in (("1\n0.5\n", 2), ("1\nx\n", 2), ("nan\n", 1)):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"line {line} "):
            trace_times(path)


def test_a_generator_that_cannot_keep_up_says_so() -> None:
    """Late by its own fault, or messages that were never sent: doubts; a quick one has none."""
    from array import array

    quick, late = Latency(), Latency()
    quick.add_ns(array("q", [1_000_000] * 100))
    late.add_ns(array("q", [200_000_000] * 100))
    fitness = Fitness()
    assert fitness.doubts(quick) == []
    assert "after it was due" in fitness.doubts(late)[0]
    fitness.look(backlog=3, lag_ms=1.0, unsent=2)
    assert "never sent" in fitness.doubts(quick)[0]


@pytest.mark.parametrize(
    ("cpu_s", "late_ms", "doubted"),
    [(0.97, 1, False), (0.97, 20, True), (0.97, None, True), (0.8, 20, False), (0.8, None, False)],
)
def test_a_busy_generator_is_doubted_where_it_shows(
    monkeypatch: pytest.MonkeyPatch, cpu_s: float, late_ms: int | None, doubted: bool
) -> None:
    """So much of each second of processor time: a fault where messages leave late, or where nothing else can tell (closed model)."""
    from array import array

    clock = [0.0, 0.0]
    monkeypatch.setattr("load.monitoring.generator_health.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("load.monitoring.generator_health.time.process_time", lambda: clock[1])
    fitness, late = Fitness(), Latency()
    if late_ms is not None:
        late.add_ns(array("q", [late_ms * 1_000_000] * 100))
    for second in range(50):
        # Connecting takes as long as the load, and costs little.
        clock[0], clock[1] = clock[0] + 0.2, clock[1] + (0.2 * cpu_s if second > 20 else 0.01)
        fitness.look(backlog=0, lag_ms=0.0, unsent=0)
    assert bool(fitness.doubts(late)) is doubted
    assert f"{cpu_s:.0%} of a core" in fitness.summary()


@given(
    st.lists(st.integers(1_000, 10**12), min_size=1, max_size=200), st.lists(st.integers(1_000, 10**12), max_size=50)
)
def test_merged_histograms_are_those_of_all_times(first: list[int], second: list[int]) -> None:
    """What two workers measured, merged in the form that travels, is what one would have measured, within 0.2 %."""
    from array import array

    one, other, both = Latency(), Latency(), Latency()
    one.add_ns(array("q", first))
    other.add_ns(array("q", second))
    both.add_ns(array("q", first + second))
    one.merge(other.encode())
    assert one.percentiles_ms() == both.percentiles_ms()
    exact_ms = sorted(first + second)[-1] / 1e6
    assert one.percentiles_ms()[99.9] == pytest.approx(exact_ms, rel=0.002, abs=0.002) or len(first + second) > 1000
