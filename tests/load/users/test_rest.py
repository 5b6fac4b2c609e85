"""Runs over REST with `batch_send_msg`: each copy is a message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from load.users.openim import OpenIMApi
from tests.load.doubled import ADMIN, SECRET, Double, problems, run_load
from verifier.model.verdict import ExitCode

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("credentials", "honest_afterwards")]


def test_copies_of_a_batch_are_separate_messages(tmp_path: Path, double: Double) -> None:
    """A message to five receivers is five messages; those that the server acknowledged and lost are reported by receiver."""
    double.faults(seed=9, lose={"rate": 0.05})
    code, report = run_load(double, tmp_path, "users = 3\nduration_s = 4\nrate = 5\nbatch = 5", transport="rest")
    lost = {_copy(entry) for entry in double.log("lose")}
    named = {one["key"].split(" ")[0] for one in problems(report, "delivery")}
    assert code is ExitCode.VIOLATED
    assert named == lost != set()
    assert report["delivery"]["acked"] == report["delivery"]["sent"] >= 3 * 5 * 10
    assert report["delivery"]["deliveries"]["lost"] == 2 * len(lost)
    assert report["delivery"]["receivers"] == 3 + 5


def test_a_copy_in_failed_user_ids_is_unknown(tmp_path: Path, double: Double) -> None:
    """A receiver blocks the sender: errCode is 0, the copy is in failedUserIDs alone [F62], and its outcome is unknown."""
    api = OpenIMApi(double.api_url, secret=SECRET, admin_user_id=ADMIN)
    api.ensure_registered(["canaryload000000", "canaryidle00001"])
    black = {"ownerUserID": "canaryidle00001", "blackUserID": "canaryload000000"}
    answer = httpx.post(f"{double.api_url}/friend/add_black", json=black, headers=api.headers())
    api.close()
    assert answer.json()["errCode"] == 0, answer.text
    code, report = run_load(double, tmp_path, "users = 1\nduration_s = 3\nrate = 5\nbatch = 3", transport="rest")
    delivery = report["delivery"]
    assert code is ExitCode.HOLDS
    assert delivery["acked"] == 2 * delivery["unknown_sends"] > 10
    assert delivery["recovered_sends"] == 0
    assert any("got no answer" in note for note in report["judgements"]["delivery"]["notes"])


def _copy(entry: Mapping[str, Any]) -> str:
    """The marker of a copy: the worker, and the first copy's count plus the index of the receiver."""
    _, worker, first = entry["ex"].rstrip(">").split(".")
    receiver = next(name for name in entry["conversationID"].split("_") if name.startswith("canaryidle"))
    return f"{worker}.{int(first) + int(receiver.removeprefix('canaryidle'))}"
