"""Checks of a live server before a replay: it answers, accepts the administrator, and has an OpenIM gateway."""

from __future__ import annotations

import asyncio

from fixtures.clients.raw_websocket import upgrade_request
from suites.contract.openim.server import Gateway, Server
from suites.contract.openim.shared.target import live
from suites.contract.openim.shared.traced_connection import TracedConnection
from suites.contract.openim.ws.accounts import admin_token

_TIMEOUT_S = 10.0


class PreflightError(Exception):
    """A server cannot be used. The text says what to check."""


async def check_server(server: Server) -> None:
    """Raises PreflightError, AccountError or ServerError if a replay could not work."""
    async with live(server) as target:
        await admin_token(target)
        if target.gateway is not None:
            await _check_gateway(server, target.gateway)


async def _check_gateway(server: Server, gateway: Gateway) -> None:
    """Send a handshake without parameters, which every OpenIM gateway refuses with an errCode."""
    loop = asyncio.get_running_loop()
    connection = TracedConnection(clock=loop.time, changed=lambda: None, auto_pong=False)
    head = upgrade_request({"Host": f"{gateway.host}:{gateway.port}"})
    try:
        answer = await connection.open(gateway.host, gateway.port, head, timeout_s=_TIMEOUT_S, tls=gateway.tls)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise PreflightError(
            f"{server.ws} cannot be reached ({str(error) or type(error).__name__}). Is it the address of the gateway?"
        ) from None
    finally:
        await connection.drop()
    if answer.status != 200 or b"errCode" not in answer.body:
        raise PreflightError(
            f"{server.ws} answers HTTP {answer.status}, unlike the gateway of OpenIM. Is it another service?"
        )
