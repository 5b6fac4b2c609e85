"""Generator health: warnings where the generator, and not the server, determined the numbers."""

from __future__ import annotations

from array import array

import pytest

from load.engine.figures import Latency
from load.monitoring.generator_health import GeneratorHealth


def test_a_generator_that_falls_behind_is_a_warning() -> None:
    """Lateness, or messages that were never sent, cause a warning; a generator on time causes none."""
    quick, late = Latency(), Latency()
    quick.add_ns(array("q", [1_000_000] * 100))
    late.add_ns(array("q", [200_000_000] * 100))
    health = GeneratorHealth()
    assert health.warnings(quick) == []
    assert "after it was due" in health.warnings(late)[0]
    health.sample(backlog=3, lag_ms=1.0, unsent=2)
    assert "never sent" in health.warnings(quick)[0]


@pytest.mark.parametrize(
    ("cpu_s", "late_ms", "warned"),
    [(0.97, 1, False), (0.97, 20, True), (0.97, None, True), (0.8, 20, False), (0.8, None, False)],
)
def test_a_busy_generator_is_a_warning_if_messages_are_late(
    monkeypatch: pytest.MonkeyPatch, cpu_s: float, late_ms: int | None, warned: bool
) -> None:
    """A busy processor alone is no warning, except in the closed model, where there is no lateness."""
    clock = [0.0, 0.0]
    monkeypatch.setattr("load.monitoring.generator_health.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("load.monitoring.generator_health.time.process_time", lambda: clock[1])
    health, late = GeneratorHealth(), Latency()
    if late_ms is not None:
        late.add_ns(array("q", [late_ms * 1_000_000] * 100))
    for second in range(50):
        # Connecting takes as long as the load, and needs little processor time.
        clock[0], clock[1] = clock[0] + 0.2, clock[1] + (0.2 * cpu_s if second > 20 else 0.01)
        health.sample(backlog=0, lag_ms=0.0, unsent=0)
    assert bool(health.warnings(late)) is warned
    assert f"{cpu_s:.0%} of a core" in health.summary()
