"""A TCP relay that can interrupt its connections, as the network of a client may."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_BLOCK_BYTES = 65_536


class Relay:
    """Relays a port of the loopback interface to a server."""

    def __init__(self, target_url: str) -> None:
        where = urlsplit(target_url)
        self._target = (where.hostname or "127.0.0.1", where.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{where.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._is_interrupted = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def interrupt(self) -> None:
        """Close all connections, and each new one at once."""
        self._is_interrupted.set()
        self._close_connections()

    def restore(self) -> None:
        """Relay new connections again."""
        self._is_interrupted.clear()

    def close(self) -> None:
        """Stop listening and close all connections."""
        self._listener.close()
        self._close_connections()

    def _close_connections(self) -> None:
        while self._open:
            end = self._open.pop()
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_interrupted.is_set():
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(_BLOCK_BYTES):
                sink.sendall(block)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relayed(target_url: str) -> Iterator[Relay]:
    """A relay to a server, closed at the end."""
    relay = Relay(target_url)
    try:
        yield relay
    finally:
        relay.close()
