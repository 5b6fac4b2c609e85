"""Load plans: running them, thresholds, and plans that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from load.config import SettingsError
from load.experiments.plans import Thresholds, read_plan, run_plan
from tests.load.doubled import ADMIN, SECRET, a_double
from verifier.model.verdict import ExitCode

pytestmark = pytest.mark.long


def test_a_plan_is_run_and_compared_with_its_thresholds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that reaches its thresholds ends with 0; with a threshold that cannot be reached it ends with 1 and names it."""
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
        ("[target", "is not TOML"),
    ],
)
def test_a_wrong_plan_is_refused_with_the_key(tmp_path: Path, text: str, says: str) -> None:
    """The message names the key; there is no traceback."""
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_plan(path)


def test_a_missing_number_does_not_reach_a_threshold() -> None:
    """A threshold is never passed without a measurement."""
    assert Thresholds(push_p99_ms=5).broken_by({"latency_ms": {}}) == [
        "push_p99_ms: the report does not contain this number"
    ]
