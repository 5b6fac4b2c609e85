"""The server that is replayed to: the double in this process, with a clock that can be moved, or any server by its URL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from fixtures.openim.app import create_app
from fixtures.openim.fault_settings import FaultSettings
from fixtures.openim.gateway.server import Gateway as DoubleGateway
from fixtures.openim.gateway.server import GatewaySettings
from fixtures.openim.state import State
from suites.contract.openim.server import DEFAULT_ADMIN, DEFAULT_SECRET, Gateway, Server, ServerError

_TICK_S = 0.003
_TIMEOUT_S = 60.0
_READ_TIMEOUT_S, _PING_PERIOD_S = 30.0, 27.0
_LOOPBACK = "127.0.0.1"
_DOUBLE_SETTLE_S, _DOUBLE_PATIENCE_S = 0.15, 3.0


class Clock(Protocol):
    """The time of a target."""

    def now_s(self) -> float:
        """Unix seconds."""

    async def sleep(self, seconds: float) -> None:
        """Let this much time pass for the target."""

    def tick(self) -> None:
        """Called after each request; a manual clock moves on by 3 ms."""


class RealClock:
    """The time of the machine."""

    def now_s(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for that long."""
        await asyncio.sleep(seconds)

    def tick(self) -> None:
        """Do nothing: requests take time."""


class ManualClock:
    """A clock that moves only by `sleep` and `tick`, at once. The double with it behaves as after real waiting."""

    def __init__(self) -> None:
        self._now_s = time.time()

    def now_s(self) -> float:
        """Unix seconds."""
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self._now_s += seconds

    def tick(self) -> None:
        """Move the clock by 3 ms, so that later requests have later times."""
        self._now_s += _TICK_S


class SteppedClock:
    """The time of the machine plus what was skipped, for a server with real timers: pauses between tokens take no time."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def now_s(self) -> float:
        """Unix seconds."""
        return time.time() + self._skipped_s

    async def sleep(self, seconds: float) -> None:
        """Skip that much time."""
        self._skipped_s += seconds

    def tick(self) -> None:
        """Do nothing: requests take time."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server to replay to.

    Attributes:
        gateway: its WebSocket; None where REST alone is replayed.
        admin_tokens: the token of the administrator, once it was requested.
    """

    name: str
    secret: str = field(repr=False)
    admin: str
    clock: Clock
    http: httpx.AsyncClient
    gateway: Gateway | None = None
    admin_tokens: list[str] = field(default_factory=list, repr=False)


@asynccontextmanager
async def live(server: Server) -> AsyncIterator[Target]:
    """A live server as a target. Raises ServerError."""
    if urlsplit(server.api).scheme not in ("http", "https"):
        raise ServerError(f"{server.api!r} is not a REST address. Write it as http://host:10002.")
    gateway = server.gateway()
    async with httpx.AsyncClient(base_url=server.api.rstrip("/"), timeout=_TIMEOUT_S, trust_env=False) as http:
        yield Target(
            name=server.api,
            secret=server.secret,
            admin=server.admin,
            clock=RealClock(),
            http=http,
            gateway=gateway,
        )


@asynccontextmanager
async def double(
    *,
    manual: bool = False,
    heartbeat_scale: float = 1.0,
    settle_s: float = _DOUBLE_SETTLE_S,
    faults: Mapping[str, Any] | None = None,
) -> AsyncIterator[Target]:
    """A new double in this process: REST without a socket, the gateway on a port of the loopback interface.

    Args:
        manual: use a ManualClock, as the REST cases need it, else a SteppedClock.
        heartbeat_scale: the heartbeat times of the double as parts of the recorded ones.
        settle_s: see `Gateway.settle_s`.
        faults: settings of FaultSettings.
    """
    clock = ManualClock() if manual else SteppedClock()
    state = State(secret=DEFAULT_SECRET, admin_ids=[DEFAULT_ADMIN], clock=clock.now_s)
    if faults:
        state.faults.set(FaultSettings.model_validate(faults))
    settings = GatewaySettings(
        read_timeout_s=_READ_TIMEOUT_S * heartbeat_scale, ping_period_s=_PING_PERIOD_S * heartbeat_scale
    )
    server = DoubleGateway(state, settings)
    port = await server.start(_LOOPBACK, 0)
    transport = httpx.ASGITransport(create_app(state), raise_app_exceptions=True)
    gateway = Gateway(
        host=_LOOPBACK,
        port=port,
        settle_s=settle_s,
        patience_s=_DOUBLE_PATIENCE_S,
        heartbeat_scale=heartbeat_scale,
    )
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://double", timeout=_TIMEOUT_S) as http:
            yield Target(
                name="double",
                secret=DEFAULT_SECRET,
                admin=DEFAULT_ADMIN,
                clock=clock,
                http=http,
                gateway=gateway,
            )
    finally:
        await server.stop()
