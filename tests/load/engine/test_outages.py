"""Runs with forced disconnects: every message is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.doubled import Double, run_load
from verifier.model.verdict import ExitCode

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("credentials", "honest_afterwards")]


def test_a_reconnect_storm_loses_nothing(tmp_path: Path, double: Double) -> None:
    """All connections are cut repeatedly: open sends are unknown or recovered, and no problem is reported."""
    code, report = run_load(double, tmp_path, "users = 10\nduration_s = 5\nrate = 20\noutage_every_s = 2.2")
    assert code in (ExitCode.HOLDS, ExitCode.INCONCLUSIVE)
    assert {item["verdict"] for item in report["judgements"].values()} <= {"holds", "inconclusive"}
    assert report["delivery"]["deliveries"]["lost"] == 0
    assert report["delivery"]["acked"] > 100


def test_users_read_what_they_missed_while_away(tmp_path: Path, double: Double) -> None:
    """Half of the users disconnect after their open sends are answered; nothing is unknown and nothing is lost."""
    code, report = run_load(
        double,
        tmp_path,
        "users = 10\nduration_s = 6\nrate = 20\noutage_every_s = 2.5\noutage_share = 0.5\noutage_s = 1",
    )
    assert code is ExitCode.HOLDS
    assert report["delivery"]["unknown_sends"] == 0
    assert report["delivery"]["deliveries"]["received"] == 2 * report["delivery"]["acked"] > 200
    pushed = sum(report["timeline"]["pushed"])
    assert 0 < pushed < 2 * report["delivery"]["acked"]


def test_slow_receivers_get_every_push_late(tmp_path: Path, double: Double) -> None:
    """Half of the users stop reading for a while: waiting pushes arrive when they read again, and nothing is lost."""
    code, report = run_load(
        double,
        tmp_path,
        "users = 10\nduration_s = 6\nrate = 20\noutage_every_s = 2\noutage_share = 0.5\noutage_s = 1.5\noutage_slow = true",
    )
    assert code is ExitCode.HOLDS
    assert report["delivery"]["deliveries"]["received"] == 2 * report["delivery"]["acked"] > 200
    assert sum(report["timeline"]["pushed"]) >= 2 * report["delivery"]["acked"] - 20
    assert report["latency_ms"]["push"]["p99"] > 500
