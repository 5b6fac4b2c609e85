"""Who is replayed to: the double in this process, with a clock that is moved by hand, or any server by its URL."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import httpx

from fixtures.openim.app import create_app
from fixtures.openim.state import State

_DEFAULT_SECRET, _DEFAULT_ADMIN = "openIM123", "imAdmin"
_TICK_S = 0.003
_TIMEOUT_S = 60.0


class Clock(Protocol):
    """The target's time."""

    def now_s(self) -> float:
        """Unix seconds by the target's clock."""

    async def sleep(self, seconds: float) -> None:
        """Let that much time go by for the target."""

    def tick(self) -> None:
        """One request takes a moment."""


class RealClock:
    """Time as it is."""

    def now_s(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def tick(self) -> None:
        """Requests take their time by themselves."""


class ManualClock:
    """A clock that only moves when told to: 300 s go by at once, and nothing else is different."""

    def __init__(self) -> None:
        self._now_s = time.time()

    def now_s(self) -> float:
        """Unix seconds."""
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        self._now_s += seconds

    def tick(self) -> None:
        """Move on a little, so that what follows is later."""
        self._now_s += _TICK_S


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server to replay to."""

    name: str
    secret: str
    admin: str
    clock: Clock
    http: httpx.AsyncClient

    def __call__(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """The client, to be closed at the end."""
        return self.http


def double() -> Target:
    """A fresh double in this process."""
    clock = ManualClock()
    state = State(secret=_DEFAULT_SECRET, admin_ids=[_DEFAULT_ADMIN], clock=clock.now_s)
    transport = httpx.ASGITransport(create_app(state), raise_app_exceptions=True)
    http = httpx.AsyncClient(transport=transport, base_url="http://double", timeout=_TIMEOUT_S)
    return Target(name="double", secret=_DEFAULT_SECRET, admin=_DEFAULT_ADMIN, clock=clock, http=http)


def from_environment() -> Target:
    """The server named by OPENIM_API (with OPENIM_SECRET and OPENIM_ADMIN), else a fresh double."""
    api = os.environ.get("OPENIM_API", "")
    if not api:
        return double()
    return Target(
        name=api,
        secret=os.environ.get("OPENIM_SECRET", _DEFAULT_SECRET),
        admin=os.environ.get("OPENIM_ADMIN", _DEFAULT_ADMIN),
        clock=RealClock(),
        http=httpx.AsyncClient(base_url=api.rstrip("/"), timeout=_TIMEOUT_S, trust_env=False),
    )
