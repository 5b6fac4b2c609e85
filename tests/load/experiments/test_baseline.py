"""Comparisons with a baseline: real differences are significant, and the usual variation of runs is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from load.__main__ import app
from load.experiments.baseline import difference
from verifier.model.verdict import ExitCode


def _runs(seed: int, runs: int, mean: float, *, between: float = 0.03, within: float = 0.05) -> list[list[float]]:
    """Runs of six blocks with a level per run."""
    rng = np.random.default_rng(seed)
    levels = mean * (1 + between * rng.standard_normal(runs))
    return [(level * (1 + within * rng.standard_normal(6))).tolist() for level in levels]


def test_equal_runs_rarely_differ() -> None:
    """Of 200 comparisons of equal distributions, at most 12 are significant."""
    called = [
        difference("send p99 ms", _runs(seed, 5, 10.0), _runs(1000 + seed, 5, 10.0)).meaning for seed in range(200)
    ]
    assert sum(meaning != "same" for meaning in called) <= 12


@pytest.mark.parametrize(("figure", "meaning"), [("send p99 ms", "worse"), ("acked per second", "better")])
def test_a_difference_of_a_quarter_is_significant(figure: str, meaning: str) -> None:
    """An increase is worse for a latency and better for a rate."""
    called = [difference(figure, _runs(seed, 5, 10.0), _runs(1000 + seed, 5, 12.5)).meaning for seed in range(50)]
    assert sum(found == meaning for found in called) >= 48


def test_a_small_difference_does_not_count() -> None:
    """Two percent do not count, however significant."""
    steady = {"between": 0.0, "within": 0.001}
    assert difference("send p50 ms", _runs(1, 5, 10.0, **steady), _runs(2, 5, 10.2, **steady)).meaning == "same"


def test_too_few_blocks_are_not_enough_data() -> None:
    """A run of twenty seconds cannot be compared."""
    assert difference("send p50 ms", [[1.0, 1.0]], [[9.0, 9.0]]).meaning == "unknown"


def _report(path: Path, *, acked: float, p99: float, seconds: int = 62) -> Path:
    rng = np.random.default_rng(sum(path.name.encode()))
    noise = (1 + 0.02 * rng.standard_normal(seconds)).tolist()
    latency = {"p50": [2.0 * each for each in noise], "p99": [p99 * each for each in noise]}
    timeline: dict[str, Any] = {
        "step_s": 1,
        "acked": [acked * each for each in noise],
        "send_ms": latency,
        "push_ms": latency,
    }
    times = {"started_at": "2026-01-05T12:00:00+00:00", "ended_at": "2026-01-05T12:01:02+00:00"}
    path.write_text(json.dumps({"format": 1, "run_id": path.stem, "timeline": timeline, **times}))
    return path


def test_the_commands_and_their_exit_codes(tmp_path: Path) -> None:
    """0 for an equal run, 1 for a slower one, 3 for a file that is not a run."""
    old = [_report(tmp_path / f"load-{number}.json", acked=100, p99=10) for number in range(3)]
    same = _report(tmp_path / "load-same.json", acked=100, p99=10)
    slow = _report(tmp_path / "load-slow.json", acked=100, p99=20)
    rest = tmp_path / "load-rest.json"
    rest.write_text(json.dumps({"format": 1, "run_id": "rest", "timeline": {}}))
    kept = str(tmp_path / "base.json")
    run = CliRunner().invoke
    assert run(app, ["baseline", *map(str, old), "-o", kept]).exit_code == ExitCode.HOLDS
    assert run(app, ["compare", str(same), "-b", kept]).exit_code == ExitCode.HOLDS
    worse = run(app, ["compare", str(slow), "-b", kept])
    assert worse.exit_code == ExitCode.VIOLATED
    assert worse.output.count("WORSE") == 2
    refused = run(app, ["compare", str(rest), "-b", kept])
    assert refused.exit_code == ExitCode.USAGE
    assert "no timeline" in refused.output
    assert "not a baseline" in run(app, ["compare", str(same), "-b", str(same)]).output
