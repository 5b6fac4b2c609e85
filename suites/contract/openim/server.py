"""A live OpenIM server by its addresses. Imports little, because the pytest plugin is always loaded."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

DEFAULT_SECRET, DEFAULT_ADMIN = "openIM123", "imAdmin"
_LIVE_SETTLE_S, _LIVE_PATIENCE_S = 8.0, 20.0
_PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The WebSocket of a server.

    Attributes:
        tls: None for plain TCP.
        settle_s: the longest pause that a replay repeats. In it presence spreads, messages are stored, and frames that
            should not come have time to arrive.
        patience_s: how long a recorded frame is waited for.
        heartbeat_scale: the heartbeat times of the server as parts of the recorded ones (27 s and 30 s).
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    settle_s: float
    patience_s: float
    heartbeat_scale: float = 1.0


class ServerError(Exception):
    """An address of a server cannot be used. The text gives a correct example."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A live server.

    Attributes:
        api: URL of its REST API.
        ws: URL of its WebSocket; "" to use REST alone.
        secret: its `share.secret`.
        admin: one of its `imAdminUser.userIDs`.
    """

    api: str
    ws: str = ""
    secret: str = field(default=DEFAULT_SECRET, repr=False)
    admin: str = DEFAULT_ADMIN

    def gateway(self) -> Gateway | None:
        """Its WebSocket, None without one. Raises ServerError."""
        if not self.ws:
            return None
        host, port, tls = address_of(self.ws)
        return Gateway(host=host, port=port, tls=tls, settle_s=_LIVE_SETTLE_S, patience_s=_LIVE_PATIENCE_S)


def address_of(url: str) -> tuple[str, int, ssl.SSLContext | None]:
    """Host, port and TLS context of a WebSocket URL. Raises ServerError."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ServerError(f"{url!r} is not a WebSocket address. Write it as ws://host:10001 or wss://host.")
    tls = ssl.create_default_context() if parts.scheme in ("wss", "https") else None
    return parts.hostname, parts.port or _PORTS[parts.scheme], tls


def from_environment(environment: Mapping[str, str] | None = None) -> Server | None:
    """The server that OPENIM_API, OPENIM_WS, OPENIM_SECRET and OPENIM_ADMIN name; None for the double."""
    env = os.environ if environment is None else environment
    if not env.get("OPENIM_API"):
        return None
    return Server(
        api=env["OPENIM_API"],
        ws=env.get("OPENIM_WS", ""),
        secret=env.get("OPENIM_SECRET") or DEFAULT_SECRET,
        admin=env.get("OPENIM_ADMIN") or DEFAULT_ADMIN,
    )
