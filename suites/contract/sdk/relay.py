"""A relay between a client and a server that can interrupt the connection, as the network of a client may."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from fixtures.stack.proxy import Mode, Proxy


class Relay:
    """Relays a port of the loopback interface to a server; `url` is the address for the client."""

    def __init__(self, proxy: Proxy, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{proxy.port}"
        self._proxy = proxy

    def interrupt(self) -> None:
        """Reset all connections, and each new one at once."""
        self._proxy.set_mode(Mode.RESET)
        self._proxy.drop_connections()

    def restore(self) -> None:
        """Relay new connections again."""
        self._proxy.set_mode(Mode.PASS)


@contextlib.contextmanager
def relayed(target_url: str) -> Iterator[Relay]:
    """A relay to a server, closed at the end."""
    target = urlsplit(target_url)
    with Proxy(target.hostname or "127.0.0.1", target.port or 80) as proxy:
        yield Relay(proxy, target.scheme)
