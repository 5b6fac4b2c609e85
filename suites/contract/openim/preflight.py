"""A look at a live server before anything is replayed: it answers, lets the administrator in, and speaks WebSocket."""

from __future__ import annotations

import asyncio

from suites.contract.openim.server import Server
from suites.contract.openim.target import Target, live
from suites.contract.openim.ws.accounts import admin_token
from suites.contract.openim.ws.client import Connection

_TIMEOUT_S = 10.0


class PreflightError(Exception):
    """A server cannot be used; the text says what to check."""


async def reach(server: Server) -> None:
    """Raises PreflightError, AccountError or ServerError where replaying could not work."""
    async with live(server) as target:
        await admin_token(target)
        if target.gateway is not None:
            await _greet(server, target)


async def _greet(server: Server, target: Target) -> None:
    """A handshake without parameters is refused in words by every OpenIM gateway."""
    gateway = target.gateway
    assert gateway is not None
    connection = Connection(clock=target.clock.now_s, changed=lambda: None, auto_pong=False)
    head = f"GET / HTTP/1.1\r\nHost: {gateway.host}:{gateway.port}\r\n\r\n".encode()
    try:
        answer = await connection.open(gateway.host, gateway.port, head, timeout_s=_TIMEOUT_S, tls=gateway.tls)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise PreflightError(
            f"{server.ws} cannot be reached ({str(error) or type(error).__name__}). Is this the message gateway's address?"
        ) from None
    finally:
        await connection.drop()
    if answer.status != 200 or b"errCode" not in answer.body:
        raise PreflightError(
            f"{server.ws} answers HTTP {answer.status} and not as OpenIM's message gateway does. Is it another service?"
        )
