"""The server that SDKs talk to: a double in a process of its own, or a live server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.services.openim_double import ADMIN, SECRET, running
from suites.contract.openim.server import Server

# A real server stores messages some time after the acknowledgement, and publishes presence about once a second [F122].
_SETTLE_S, _REAL_SETTLE_S = 3.0, 60.0


@dataclass(frozen=True, kw_only=True)
class SdkTarget:
    """A server by its URLs. `settle_s` is how long the effects of a call are waited for."""

    api_url: str
    ws_url: str
    secret: str
    admin: str
    settle_s: float
    is_double: bool


@contextlib.contextmanager
def live_or_double(server: Server | None, log: Path) -> Iterator[SdkTarget]:
    """This server, or for None a new double that writes its log to a file. Skips the test if the server has no WebSocket."""
    if server is None:
        with running(log) as double:
            yield SdkTarget(
                api_url=double.api_url,
                ws_url=double.ws_url.replace("http", "ws", 1),
                secret=SECRET,
                admin=ADMIN,
                settle_s=_SETTLE_S,
                is_double=True,
            )
        return
    if not server.ws:
        pytest.skip("SDKs need the WebSocket address too: give --openim-ws or set OPENIM_WS")
    yield SdkTarget(
        api_url=server.api.rstrip("/"),
        ws_url=server.ws.rstrip("/"),
        secret=server.secret,
        admin=server.admin,
        settle_s=_REAL_SETTLE_S,
        is_double=False,
    )
