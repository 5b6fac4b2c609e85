"""Several runs in one process: they are started and stopped from locust's web UI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.processes.ports import LOOPBACK, claim_port, release_port
from fixtures.services.base import REPO_ROOT
from tests.load.doubled import ADMIN, SECRET, Double, a_double

pytestmark = pytest.mark.long


@contextmanager
def _web_ui(double: Double, out: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    port = claim_port()
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        "load/locustfile.py",
        "--transport",
        "ws",
        "--ws-url",
        double.ws_url,
    ]
    command += ["--web-host", LOOPBACK, "--web-port", str(port), "--out-dir", str(out), "--late-most-ms", "5000"]
    run = subprocess.Popen(
        command,
        cwd=REPO_ROOT,
        env={**os.environ, "OPENIM_SECRET": SECRET, "OPENIM_ADMIN": ADMIN},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=60, trust_env=False) as browser:
            _until(lambda: _answers(browser))
            yield browser, run
    finally:
        run.kill()
        run.wait(timeout=10)
        release_port(port)


def _answers(browser: httpx.Client) -> bool:
    try:
        return browser.get("/").status_code == 200
    except httpx.TransportError:
        return False


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _sent(browser: httpx.Client) -> int:
    rows: list[dict[str, Any]] = browser.get("/stats/requests").json()["stats"]
    return sum(int(row["num_requests"]) for row in rows if row["name"] == "send")


def test_runs_are_started_and_stopped_from_the_browser(tmp_path: Path) -> None:
    """Each run has its own journal and verdict and uses the numbers of the form; a host that is not allowed is refused."""
    with a_double() as double, _web_ui(double, tmp_path) as (browser, run):
        for number in (1, 2):
            form = {"user_count": 4, "spawn_rate": 10, "host": double.api_url, "rate": 20, "settle_s": 0.3}
            assert browser.post("/swarm", data=form).json()["success"] is True
            time.sleep(2.5)  # locust shows the same table for two seconds: that of the run before
            _until(lambda: _sent(browser) > 50)
            assert browser.post("/stop").json()["success"] is True
            _until(lambda number=number: len(list(tmp_path.glob("load-*.json"))) == number)  # type: ignore[misc]
        reports = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("load-*.json"))]
        assert [report["exit_code"] for report in reports] == [0, 0]
        assert all(report["delivery"]["acked"] > 50 for report in reports)
        browser.post("/swarm", data={"user_count": 4, "spawn_rate": 10, "host": "http://openim.example.com"})
        time.sleep(2)
        assert len(list(tmp_path.glob("load-*.columns"))) == 2
        run.send_signal(signal.SIGTERM)
        _, log = run.communicate(timeout=30)
    assert "does not allow load on it" in log
    assert log.count("every acknowledged message is accounted for") == 2
