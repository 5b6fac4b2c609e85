"""Where SDKs are pointed: a double in a process of its own, or the live server that is named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.services.openim_double import ADMIN, SECRET, running_double
from suites.contract.openim.server import Server

# A real server stores a while after its ack, and tells who is online about once a second.
_SETTLE_S, _REAL_SETTLE_S = 3.0, 60.0


@dataclass(frozen=True, kw_only=True)
class SdkTarget:
    """A server by its URLs. `settle_s`: how long after an ack its effects are waited for."""

    api_url: str
    ws_url: str
    secret: str
    admin: str
    settle_s: float
    is_double: bool


@contextlib.contextmanager
def named_or_double(server: Server | None, log: Path) -> Iterator[SdkTarget]:
    """The named server, else a fresh double that writes its log there."""
    if server is None:
        with running_double(log) as double:
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
        pytest.skip("a server is named without its WebSocket (--openim-ws or OPENIM_WS), which SDKs need as well")
    yield SdkTarget(
        api_url=server.api.rstrip("/"),
        ws_url=server.ws.rstrip("/"),
        secret=server.secret,
        admin=server.admin,
        settle_s=_REAL_SETTLE_S,
        is_double=False,
    )
