"""A live OpenIM server by its addresses, and how a WebSocket is spoken to. Light: the pytest plugin is always loaded."""

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
    """A target's WebSocket.

    Attributes:
        tls: what to speak TLS with, None for plain TCP.
        settle_s: how long to stand still at most where the recording did: for presence to spread, a message to be
            stored, an unexpected frame to show itself.
        patience_s: how long a recorded frame is waited for.
        heartbeat_scale: the server's heartbeat times as parts of the recorded ones (27 s and 30 s).
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    settle_s: float
    patience_s: float
    heartbeat_scale: float = 1.0


class ServerError(Exception):
    """A server is named in a way that cannot be used; the text says what would be right."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A live server: where it listens, and who may do everything there. `ws` may be empty: then REST alone is used."""

    api: str
    ws: str = ""
    secret: str = field(default=DEFAULT_SECRET, repr=False)
    admin: str = DEFAULT_ADMIN

    def gateway(self) -> Gateway | None:
        """Its WebSocket. Raises ServerError."""
        if not self.ws:
            return None
        parts = urlsplit(self.ws)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ServerError(f"{self.ws!r} is no WebSocket address. Write it as ws://host:10001 or wss://host.")
        tls = ssl.create_default_context() if parts.scheme in ("wss", "https") else None
        port = parts.port or _PORTS[parts.scheme]
        return Gateway(host=parts.hostname, port=port, tls=tls, settle_s=_LIVE_SETTLE_S, patience_s=_LIVE_PATIENCE_S)


def from_environment(environment: Mapping[str, str] | None = None) -> Server | None:
    """The server named by OPENIM_API, OPENIM_WS, OPENIM_SECRET and OPENIM_ADMIN; None means the double."""
    env = os.environ if environment is None else environment
    if not env.get("OPENIM_API"):
        return None
    return Server(
        api=env["OPENIM_API"],
        ws=env.get("OPENIM_WS", ""),
        secret=env.get("OPENIM_SECRET") or DEFAULT_SECRET,
        admin=env.get("OPENIM_ADMIN") or DEFAULT_ADMIN,
    )
