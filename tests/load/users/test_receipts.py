"""Runs with read receipts: an acknowledged mark is kept, or its loss is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from load.users.openim import OpenIMApi
from tests.load.doubled import ADMIN, SECRET, Double, problems, run_load
from verifier.model.verdict import ExitCode

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("credentials", "honest_afterwards")]


def test_a_storm_of_read_receipts_loses_nothing(tmp_path: Path, double: Double) -> None:
    """Marks drop cached copies that the database does not have yet [F86]: a message that is empty is read again, and not called lost."""
    double.faults(databaseLagMs=1500)
    code, report = run_load(
        double, tmp_path, "users = 10\nduration_s = 5\nrate = 20\nreceipts_every_s = 0.2", drain_deadline_s=10
    )
    assert code is ExitCode.HOLDS
    assert report["judgements"]["receipts"]["verdict"] == "holds"
    assert report["delivery"]["deliveries"]["received"] == 2 * report["delivery"]["acked"] > 200
    assert "unseen" not in report["judgements"]["receipts"]["coverage"]


def test_a_lost_read_mark_is_reported(tmp_path: Path, double: Double) -> None:
    """The reported readers are those whose acknowledged marks the server dropped, except those who sent last: own messages count as read."""
    double.faults(forgetRead={})
    times = tmp_path / "times"
    times.write_text("\n".join(f"{number / 20:.2f}" for number in range(30)))
    code, report = run_load(
        double,
        tmp_path,
        f'users = 6\nduration_s = 6\nreceipts_every_s = 0.3\narrivals = "trace"\ntrace = "{times}"',
    )
    marked: dict[tuple[str, str], int] = {}
    for entry in double.log("forgetRead"):
        reader = entry["userID"], entry["conversationID"]
        marked[reader] = max(entry["hasReadSeq"], marked.get(reader, 0))
    api = OpenIMApi(double.api_url, secret=SECRET, admin_user_id=ADMIN)
    behind = {reader for reader, seq in marked.items() if api.read_seq(*reader) < seq}
    api.close()
    named = {(one["evidence"]["user"], one["evidence"]["conversation"]) for one in problems(report, "receipts")}
    assert code is ExitCode.VIOLATED
    assert named == behind != set()
    assert report["judgements"]["delivery"]["verdict"] == "holds"
