"""A TCP relay that can lose its connections and refuse new ones: what a client's network does to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_BLOCK_BYTES = 65_536


class Relay:
    """Relays a port of loopback to a server; `cut` and `mend` are what it is there for."""

    def __init__(self, target_url: str) -> None:
        where = urlsplit(target_url)
        self._target = (where.hostname or "127.0.0.1", where.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{where.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._is_cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Lose all connections without a word, and each new one at once."""
        self._is_cut.set()
        self._lose()

    def mend(self) -> None:
        """Relay again."""
        self._is_cut.clear()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        self._lose()

    def _lose(self) -> None:
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
            if self._is_cut.is_set():
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
