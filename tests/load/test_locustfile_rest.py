"""The locustfile over REST, against the OpenIM double: without faults, and with planted losses and duplicates."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fixtures.openim.model.state import ServerState
from fixtures.openim.rest.app import create_app
from fixtures.processes.ports import LOOPBACK, claim_port, release_port
from fixtures.services.base import REPO_ROOT
from load.journal.operations import operations
from load.journal.reader import ColumnReader
from load.report import account_for
from tests.load.doubled import two_workers
from verifier.judges.operation import calls

pytestmark = pytest.mark.long

SECRET = "secret-of-the-test"  # noqa: S105
LOSE_EACH, DOUBLE_EACH = 7, 10


class Faulty:
    """A proxy in front of OpenIM that acknowledges each 7th message and loses it, and sends each 10th twice."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.sends = self.lost = self.doubled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/msg/send_msg":
            await self._app(scope, receive, send)
            return
        self.sends += 1
        if self.sends % LOSE_EACH == 0:
            self.lost += 1
            data = {"serverMsgID": f"lost{self.sends}", "clientMsgID": "x", "sendTime": 1}
            answer = JSONResponse({"errCode": 0, "errMsg": "", "errDlt": "", "data": data})
            await answer(scope, receive, send)
            return
        body = await _body(receive)
        if self.sends % DOUBLE_EACH == 0:
            self.doubled += 1
            await self._app(scope, _replay(body), _swallow)
        await self._app(scope, _replay(body), send)


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _swallow(_: Message) -> None:
    """Discard the answer to the second copy."""


@contextmanager
def _served(app: ASGIApp) -> Iterator[str]:
    port = claim_port()
    server = uvicorn.Server(uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        release_port(port)


def _double() -> ASGIApp:
    return create_app(ServerState(secret=SECRET, admin_ids=["loadAdmin"]))


def _locust(host: str, out: Path, *more: str, file_bytes_max: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "locust", "-f", "load/locustfile.py", "--host", host, "--headless"]
    command += [
        "-u",
        "6",
        "-r",
        "20",
        "--rate",
        "10",
        "--settle-s",
        "0.3",
        "--quiet-s",
        "0.5",
        "--drain-deadline-s",
        "10",
        "--out-dir",
        str(out),
        "--only-summary",
    ]
    return subprocess.Popen(
        [*command, *more],
        cwd=REPO_ROOT,
        env={**os.environ, "OPENIM_SECRET": SECRET, "OPENIM_ADMIN": "loadAdmin"},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=None if file_bytes_max is None else lambda: _limit_files(file_bytes_max),
    )


def _limit_files(size_bytes: int) -> None:
    """Limit the size of files, like a small disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def _report(out: Path) -> dict[str, Any]:
    (path,) = out.glob("load-*.json")
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def test_a_run_without_faults_is_accounted_for_and_no_secret_is_written(tmp_path: Path) -> None:
    """Every acknowledged message is read back by both users: exit 0. No file holds a token or a secret."""
    with _served(_double()) as host:
        run = _locust(host, tmp_path, "-t", "4s", "--arrivals", "poisson")
        _, log = run.communicate(timeout=60)
    assert run.returncode == 0, log
    report = _report(tmp_path)
    assert report["delivery"]["acked"] == report["delivery"]["sent"] > 20
    assert report["delivery"]["deliveries"]["received"] == 2 * report["delivery"]["acked"]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir()) + log.encode()
    assert SECRET.encode() not in written
    assert b"eyJ" not in written


def test_losses_and_doubles_behind_an_acknowledgement_are_counted_exactly(tmp_path: Path) -> None:
    """The server acknowledges everything; the report has the exact numbers of losses and duplicates: exit 1."""
    faulty = Faulty(_double())
    with _served(faulty) as host:
        run = _locust(host, tmp_path, "-t", "4s")
        _, log = run.communicate(timeout=60)
    assert run.returncode == 1, log
    report = _report(tmp_path)
    counts = report["delivery"]["deliveries"]
    assert report["delivery"]["acked"] == faulty.sends
    assert (counts["lost"], counts["duplicated"]) == (2 * faulty.lost, 2 * faulty.doubled)
    assert (counts["altered"], counts["unexpected"], counts["unknown"]) == (0, 0, 0)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_accounted_for_like_any_other(tmp_path: Path, sign: signal.Signals) -> None:
    """After Ctrl-C or a pipeline's SIGTERM the run is still read back and judged."""
    with _served(_double()) as host:
        run = _locust(host, tmp_path)
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size > 5000 for path in tmp_path.glob("*.columns")):
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.1)
        run.send_signal(sign)
        _, log = run.communicate(timeout=60)
    assert run.returncode == 0, log
    assert "every acknowledged message is accounted for" in log


def test_a_foreign_host_is_refused_before_any_user_starts(tmp_path: Path) -> None:
    """Exit 3 with a message; no request is sent and no file is written."""
    run = _locust("http://openim.example.com", tmp_path, "-t", "4s")
    _, log = run.communicate(timeout=60)
    assert run.returncode == 3
    assert "does not allow load on it" in log
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_run_and_says_so(tmp_path: Path) -> None:
    """Without a journal further sends could not be accounted for: exit 2."""
    with _served(_double()) as host:
        run = _locust(host, tmp_path, "-t", "30s", file_bytes_max=8000)
        _, log = run.communicate(timeout=25)
    assert run.returncode == 2, log
    assert "Free the disk and record again" in log
    assert "cannot be accounted for" in log


def test_workers_share_a_run_and_no_conversation(tmp_path: Path) -> None:
    """Each of two workers judges its own journal, and both journals are judged as one run."""
    with _served(_double()) as host, two_workers() as options:
        run = _locust(host, tmp_path, "-t", "5s", *options)
        _, log = run.communicate(timeout=60)
    journals = sorted(tmp_path.glob("load-*.columns"))
    assert len(journals) == 2, log
    account = account_for(journals, settle_s=0.3, quiet_s=0.5)
    assert account.exit_code == 0, log
    assert account.delivery is not None
    # Three users a worker are one whole pair and half of another.
    assert len(account.delivery.receivers) == 8
    talked = [
        {call.invoke.text("conversation") for call in calls(operations([ColumnReader(path)]), "send")}
        for path in journals
    ]
    assert talked[0].isdisjoint(talked[1])
