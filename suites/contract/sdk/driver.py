"""Driving published clients in other processes by lines of JSON."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

_ANSWER_WITHIN_S = 20.0
_EVENT_WITHIN_S = 10.0


class Refused(Exception):
    """A method of the client failed. The argument is its error."""


class Driver:
    """One driver process. `call` runs a method of a client, `wait_for_event` waits for one of its callbacks."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, bufsize=1
        )
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    def call(self, client: str, method: str, params: Any = None) -> Any:
        """Call a method and return its data. Raises Refused with the error of the client, or TimeoutError."""
        number = next(self._ids)
        answer: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers[number] = answer
        command = {"id": number, "client": client, "method": method}
        if params is not None:
            command["params"] = params
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        try:
            line = answer.get(timeout=_ANSWER_WITHIN_S)
        except queue.Empty:
            raise TimeoutError(
                f"{client}.{method} did not answer within {_ANSWER_WITHIN_S} s; {self._log.name}"
            ) from None
        if "error" in line:
            raise Refused(line["error"])
        return line["data"]

    def wait_for_event(
        self,
        client: str,
        name: str,
        wanted: Callable[[Any], bool] = lambda _data: True,
        *,
        within_s: float = _EVENT_WITHIN_S,
    ) -> Any:
        """The data of the first event of this name that is `wanted`, past or future. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while True:
                for data in self.events(client, name):
                    if wanted(data):
                        return data
                if not self._changed.wait(deadline - time.monotonic()):
                    received = [one["event"] for one in self._events if one.get("client") == client]
                    raise TimeoutError(f"{client} received no such {name} within {within_s} s, only {received}")

    def events(self, client: str, name: str) -> list[Any]:
        """The data of all past events of this name."""
        return [one.get("data") for one in self._events if one.get("client") == client and one["event"] == name]

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _read(self, lines: IO[str]) -> None:
        for text in lines:
            line = json.loads(text)
            if "id" in line:
                self._answers.pop(line["id"]).put(line)
                continue
            with self._changed:
                self._events.append(line)
                self._changed.notify_all()
