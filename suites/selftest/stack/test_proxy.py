"""The proxy: each mode does to a client what a store in that state would."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from fixtures.ports import LOOPBACK
from fixtures.proxy import Mode, Proxy

REQUEST = b"0123456789abcdefghijklmnopqrstuvwxyz"


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # resets are what these tests are about
            while data := self.request.recv(65_536):
                self.request.sendall(data)


# A reset is noticed while the client still connects, while it sends, or when it reads.
RESET = (ConnectionResetError, BrokenPipeError)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy in front of a server that sends back what it gets."""
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), _Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with Proxy(LOOPBACK, server.server_address[1]) as each:
            yield each
        server.shutdown()
        thread.join()


def connect(proxy: Proxy, timeout_s: float = 5.0) -> socket.socket:
    """A client of the proxy."""
    return socket.create_connection((LOOPBACK, proxy.port), timeout=timeout_s)


def exchange(client: socket.socket) -> bytes:
    """Send the request; read what comes back, up to its length."""
    client.sendall(REQUEST)
    answer = b""
    while len(answer) < len(REQUEST) and (chunk := client.recv(1_024)):
        answer += chunk
    return answer


def connect_and_exchange(proxy: Proxy) -> bytes:
    """One request on a connection of its own."""
    with connect(proxy) as client:
        return exchange(client)


def test_pass_forwards_both_ways(proxy: Proxy) -> None:
    """Undisturbed, the proxy is not noticed."""
    with connect(proxy) as client:
        assert exchange(client) == REQUEST
    assert proxy.connections == 1


def test_refuse_turns_new_connections_away_and_pass_takes_them_again(proxy: Proxy) -> None:
    """Nobody listens, and later somebody does on the same port; an open connection goes on meanwhile."""
    with connect(proxy) as client:
        assert exchange(client) == REQUEST
        proxy.set_mode(Mode.REFUSE)
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        assert exchange(client) == REQUEST
    proxy.set_mode(Mode.PASS)
    with connect(proxy) as client:
        assert exchange(client) == REQUEST


def test_hang_accepts_and_never_answers_until_it_passes_again(proxy: Proxy) -> None:
    """New and open connections fall silent, and what they asked is answered when the hang is over."""
    with connect(proxy) as open_before, connect(proxy) as opened_hanging:
        assert exchange(open_before) == REQUEST
        proxy.set_mode(Mode.HANG)
        for client in (open_before, opened_hanging):
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                exchange(client)
        proxy.set_mode(Mode.PASS)
        for client in (open_before, opened_hanging):
            client.settimeout(5)
            assert client.recv(1_024) == REQUEST


def test_slow_delays_each_chunk(proxy: Proxy) -> None:
    """An answer takes the delay of the request and its own."""
    proxy.set_mode(Mode.SLOW, delay_s=0.15)
    with connect(proxy) as client:
        begun = time.monotonic()
        assert exchange(client) == REQUEST
    assert time.monotonic() - begun >= 0.3


def test_reset_ends_new_and_open_connections_abruptly(proxy: Proxy) -> None:
    """Both see a connection reset, not an orderly end."""
    with connect(proxy) as client:
        assert exchange(client) == REQUEST
        proxy.set_mode(Mode.RESET)
        with pytest.raises(RESET):
            exchange(client)
    with pytest.raises(RESET):
        connect_and_exchange(proxy)


def test_cut_ends_an_answer_in_the_middle(proxy: Proxy) -> None:
    """The client gets the first bytes and then an end."""
    proxy.set_mode(Mode.CUT, cut_after_bytes=10)
    with connect(proxy) as client:
        assert exchange(client) == REQUEST[:10]


def test_drop_connections_resets_what_is_open_and_takes_new_ones(proxy: Proxy) -> None:
    """Like a store that restarts."""
    with connect(proxy) as client:
        assert exchange(client) == REQUEST
        proxy.drop_connections()
        with pytest.raises(RESET):
            exchange(client)
    with connect(proxy) as client:
        assert exchange(client) == REQUEST


def test_dead_target_ends_the_client_s_connection(proxy: Proxy) -> None:
    """A proxy whose store is gone does not keep clients waiting."""
    with Proxy(LOOPBACK, proxy.port) as outer:
        proxy.set_mode(Mode.REFUSE)
        with connect(outer) as client:
            assert exchange(client) == b""
