"""Runs with groups: every message is accounted for, and a loss is reported for every member."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.doubled import Double, run_load
from verifier.model.verdict import ExitCode

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("credentials", "honest_afterwards")]


def test_a_group_message_reaches_every_connected_member(tmp_path: Path, double: Double) -> None:
    """Seven users in groups of 600 with three connected members: each message is due to all three.

    The seventh user would be alone in the last group and does not take part.
    """
    code, report = run_load(
        double,
        tmp_path,
        'users = 7\nduration_s = 7\nrate = 8\nscenario = "groups"\ngroup_size = 600\ngroup_connected = 3',
    )
    deliveries = report["delivery"]["deliveries"]
    assert code is ExitCode.HOLDS
    assert report["delivery"]["acked"] == report["delivery"]["sent"] > 30
    assert deliveries["received"] == deliveries["expected"] == 3 * report["delivery"]["acked"]
    assert report["delivery"]["receivers"] == 6


def test_a_mixed_run_has_pairs_and_groups(tmp_path: Path, double: Double) -> None:
    """Half of the users are in pairs, half in a group of four: deliveries are due to two and to four."""
    code, report = run_load(
        double,
        tmp_path,
        'users = 8\nduration_s = 4\nrate = 10\nscenario = "mixed"\ngroup_share = 0.5\ngroup_size = 4',
    )
    delivery = report["delivery"]
    assert code is ExitCode.HOLDS
    assert delivery["receivers"] == 8
    assert 2 * delivery["acked"] < delivery["deliveries"]["received"] < 4 * delivery["acked"]


def test_a_loss_in_a_group_is_reported_for_every_connected_member(tmp_path: Path, double: Double) -> None:
    """The reported messages are exactly those of the double's log, for every connected member."""
    double.faults(seed=5, lose={"rate": 0.1})
    code, report = run_load(
        double, tmp_path, 'users = 4\nduration_s = 4\nrate = 15\nscenario = "groups"\ngroup_size = 4'
    )
    lost = double.markers("lose")
    named = {problem["key"].split(" ")[0] for problem in report["judgements"]["delivery"]["problems"]}
    assert code is ExitCode.VIOLATED
    assert named == lost != set()
    assert report["delivery"]["deliveries"]["lost"] == 4 * len(lost)
