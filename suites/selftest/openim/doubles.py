"""Doubles for tests: in this process, or a process of its own on free ports."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.openim.app import create_app
from fixtures.openim.state import State

SECRET, ADMIN = "a-secret", "imAdmin"
_READY_WITHIN_S = 20.0


class Clock:
    """A clock that moves when told to."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """Unix seconds."""
        return self.now_s


def in_process(state: State, *, faults: bool = False, admin: str = ADMIN) -> OpenIMRest:
    """A client of a double over this state."""
    transport = httpx.ASGITransport(create_app(state, faults=faults))
    return OpenIMRest("http://double", secret=SECRET, admin_user_id=admin, transport=transport)


@dataclass(frozen=True)
class Running:
    """A double in a process of its own."""

    process: subprocess.Popen[str]
    api_url: str
    ws_url: str

    def client(self) -> OpenIMRest:
        """A client of it."""
        return OpenIMRest(self.api_url, secret=SECRET, admin_user_id=ADMIN)

    def kill(self) -> None:
        """End it without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)


@contextlib.contextmanager
def running(log: Path, *arguments: str) -> Iterator[Running]:
    """Start `python -m fixtures.openim` and stop it at the end."""
    api, ws = free_port(), free_port()
    command = ["--port", str(api), "--ws-port", str(ws), "--secret", SECRET, "--admin", ADMIN, *arguments]
    with log.open("a") as output:
        process = start(command, stderr=output)
    double = Running(process, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{ws}")
    try:
        _wait(double, log)
        yield double
    finally:
        process.terminate()
        process.wait(timeout=10)


def start(command: Sequence[str], *, stderr: Any) -> subprocess.Popen[str]:
    """Start the double with these arguments."""
    return subprocess.Popen(
        [sys.executable, "-m", "fixtures.openim", *command], stderr=stderr, stdout=stderr, text=True
    )


def _wait(double: Running, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(double.api_url, trust_env=False).status_code == 404:
                httpx.get(double.ws_url, trust_env=False)
                return
        if double.process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"The double did not start: {log.read_text()}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Failures(logging.Handler):
    """Collects what is logged as a failure. Breaches of the protocol, which picows tells of, are none."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that tells of an exception."""
        text = record.getMessage()
        if record.exc_info or not text.startswith("WS parser error"):
            self.told.append(self.format(record))
