"""The locustfile over the WebSocket: one process, two workers, and a worker that is killed."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.services.base import REPO_ROOT
from load.journal.reader import ColumnReader
from load.report import account_for
from tests.load.doubled import ADMIN, SECRET, Double, two_workers
from verifier.model.verdict import ExitCode, Verdict

pytestmark = pytest.mark.long

JWT = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def _locust(double: Double, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "locust", "-f", "load/locustfile.py", "--transport", "ws", "--headless"]
    command += ["--host", double.api_url, "--ws-url", double.ws_url, "--out-dir", str(out), "--only-summary"]
    command += [
        "-u",
        "8",
        "-r",
        "50",
        "--rate",
        "20",
        "--settle-s",
        "0.4",
        "--quiet-s",
        "0.5",
        "--drain-deadline-s",
        "10",
    ]
    # Tests share their machine, so lateness says nothing here.
    command += ["--late-most-ms", "5000", *more]
    return subprocess.Popen(
        command,
        cwd=REPO_ROOT,
        env={**os.environ, "OPENIM_SECRET": SECRET, "OPENIM_ADMIN": ADMIN},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _report(out: Path) -> dict[str, Any]:
    (path,) = out.glob("load-*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("options", [("--arrivals", "poisson"), ("--arrivals", "closed", "--think-s", "0.05")])
def test_a_run_without_faults_is_accounted_for_and_no_secret_is_written(
    tmp_path: Path, double: Double, options: tuple[str, ...]
) -> None:
    """In the open and the closed model every message reaches both users: exit 0. No file holds a token or a secret."""
    run = _locust(double, tmp_path, "-t", "5s", *options)
    _, log = run.communicate(timeout=60)
    assert run.returncode == 0, log
    report = _report(tmp_path)
    assert report["delivery"]["acked"] == report["delivery"]["sent"] > 100
    assert {one["verdict"] for one in report["judgements"].values()} == {"holds"}
    assert set(report["judgements"]) == {"delivery", "order", "pushes"}
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir()) + log.encode()
    assert SECRET.encode() not in written
    assert not JWT.search(written)


def test_losses_behind_an_acknowledgement_are_counted_exactly(tmp_path: Path, double: Double) -> None:
    """The server acknowledges everything and loses some messages: exit 1, with the count of the double's log."""
    double.faults(seed=1, lose={"rate": 0.05})
    try:
        run = _locust(double, tmp_path, "-t", "4s")
        _, log = run.communicate(timeout=60)
        lost = double.log("lose")
    finally:
        double.faults()
    assert run.returncode == 1, log
    assert _report(tmp_path)["delivery"]["deliveries"]["lost"] == 2 * len(lost) > 0


def test_two_workers_give_the_totals_of_their_journals(tmp_path: Path, double: Double) -> None:
    """The master's table has exactly the counts of the journals, which are judged as one run."""
    with two_workers() as options:
        run = _locust(double, tmp_path, "-t", "5s", *options, "--csv", str(tmp_path / "table"))
        _, log = run.communicate(timeout=60)
    journals = sorted(tmp_path.glob("load-*.columns"))
    assert len(journals) == 2, log
    account = account_for(journals, settle_s=0.4, quiet_s=0.5)
    assert account.exit_code == 0, log
    assert account.delivery is not None
    assert account.pushes is not None
    with (tmp_path / "table_stats.csv").open() as file:
        table = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert table["send"] == account.delivery.acked > 200
    assert table["push"] == account.delivery.count("received") == 2 * account.delivery.acked
    for path in journals:
        reader = ColumnReader(path)
        assert sum(map(len, reader.batches())) > 0
        # One machine, one clock: what was found must allow for that.
        assert reader.clock is not None
        assert abs(reader.clock.offset_ns) <= reader.clock.error_ns + 1_000_000


def test_a_worker_that_is_killed_leaves_its_open_operations_unknown(tmp_path: Path, double: Double) -> None:
    """No problem is reported, and no message of the other worker is affected."""
    with two_workers() as options:
        run = _locust(double, tmp_path, "-t", "8s", *options)
        deadline = time.monotonic() + 30
        while sum(path.stat().st_size > 20_000 for path in tmp_path.glob("*.columns")) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        victim = max(psutil.Process(run.pid).children(), key=lambda child: child.pid)
        victim.send_signal(signal.SIGKILL)
        _, log = run.communicate(timeout=60)
    journals = sorted(tmp_path.glob("load-*.columns"))
    ended = []
    for path in journals:
        reader = ColumnReader(path)
        assert sum(map(len, reader.batches())) > 0
        ended.append(reader.ended)
    assert sorted(ended) == [False, True], log
    account = account_for(journals, settle_s=0.4, quiet_s=0.5)
    assert account.exit_code is ExitCode.INCONCLUSIVE
    assert [judgement.problems_total for judgement in account.judgements.values()] == [0] * 3
    (survivor,) = [path for path, done in zip(journals, ended, strict=True) if done]
    alone = account_for([survivor], settle_s=0.4, quiet_s=0.5)
    assert alone.delivery is not None
    assert account.delivery is not None
    assert alone.delivery.judgement.verdict is Verdict.HOLDS
    assert account.delivery.unknown_sends <= 4 * 16
    shared = {user: tally for user, tally in account.delivery.receivers.items() if user in alone.delivery.receivers}
    assert shared == alone.delivery.receivers
    assert "did not finish" in " ".join(account.notes)
