"""Where SDKs are pointed: a double in a process of its own, or the server that OPENIM_API and OPENIM_WS name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from suites.contract.openim.target import from_environment
from suites.selftest.openim.doubles import ADMIN, SECRET, running

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
def named_or_double(log: Path) -> Iterator[SdkTarget]:
    """The named server, else a fresh double that writes its log there."""
    if "OPENIM_API" not in os.environ:
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
    if "OPENIM_WS" not in os.environ:
        pytest.skip("OPENIM_API is set without OPENIM_WS (ws://…), which SDKs need as well")
    named = from_environment()
    yield SdkTarget(
        api_url=named.name.rstrip("/"),
        ws_url=os.environ["OPENIM_WS"].rstrip("/"),
        secret=named.secret,
        admin=named.admin,
        settle_s=_REAL_SETTLE_S,
        is_double=False,
    )
