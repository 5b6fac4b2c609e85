"""Drives the published Python client for the contract suite: commands in, answers and events out, one JSON object a line.

    {"id": 1, "client": "dot", "method": "login", "params": {…}}
    {"id": 1, "data": …}  or  {"id": 1, "error": "…"}
    {"client": "dot", "event": "on_recv_new_message", "data": …}

It is run by its path, in an interpreter that has openim-sdk-core, and imports nothing else of this project. The method
`new` creates a client from the fields of its configuration; other methods are those of the client, called with keywords.
"""

from __future__ import annotations

import json
import sys
import threading
from functools import partial
from typing import Any

from openim_sdk import OpenIMWSSDK, WSConfig

_MESSAGES = ("on_recv_new_message", "on_recv_offline_new_message")
_MOMENTS = ("on_connecting", "on_connect_success", "on_kicked_offline")
_FAILURES = ("on_connect_failed", "on_error")


class Driver:
    """The clients by name. Events come from threads of the clients, so a lock protects the output."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def write(self, line: dict[str, Any]) -> None:
        """Write one line."""
        with self._lock:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    def run(self, command: dict[str, Any]) -> None:
        """Carry out one command and answer it."""
        name, method, params = command["client"], command["method"], command.get("params") or {}
        try:
            act = partial(self._new, name) if method == "new" else getattr(self._clients[name], method)
            data = act(**params)
        except Exception as error:  # every error of the client is an answer
            self.write({"id": command["id"], "error": f"{type(error).__name__}: {error}"})
        else:
            self.write({"id": command["id"], "data": getattr(data, "raw", data)})

    def _new(self, name: str, **config: Any) -> None:
        def listener(event: str) -> Any:
            def received(value: Any = None) -> None:
                shown = value.raw if event in _MESSAGES else None if value is None else repr(value)
                self.write({"client": name, "event": event, "data": shown})

            return received

        hooks = {event: listener(event) for event in (*_MESSAGES, *_MOMENTS, *_FAILURES)}
        self._clients[name] = OpenIMWSSDK(WSConfig(**config), **hooks)


def main() -> None:
    """Read commands until the input ends."""
    driver = Driver()
    for line in sys.stdin:
        driver.run(json.loads(line))


if __name__ == "__main__":
    main()
