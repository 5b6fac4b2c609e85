"""The canary's question who a gateway takes it for, asked of a gateway that believes its clients and of one that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.websockets import WebSocket

from fixtures.clients.actions import Answer
from fixtures.clients.adapter_socket import claim
from fixtures.clients.gateway import IM_SOCKET, Gateway
from fixtures.platform.__main__ import applications
from fixtures.platform.gateway import im_socket
from fixtures.platform.gateway.guard import signed_caller
from fixtures.platform.gateway.stores import GatewayStores, TokenDelivery
from fixtures.platform.identity import platform_user_id
from fixtures.platform.internal import Caller
from fixtures.platform.serving import serving
from fixtures.world import WorldConfig
from suites.selftest.openim.doubles import free_port
from suites.selftest.platform.conftest import sign_up

pytestmark = pytest.mark.anyio


async def believing(socket: WebSocket, stores: GatewayStores, *, method: str, body: bytes) -> Caller:
    """What a gateway does that takes the session, and then the client's word for who it is."""
    caller = await signed_caller(socket, stores, method=method, body=body)
    claimed = socket.query_params.get("sendID")
    return replace(caller, user_id=platform_user_id(claimed)) if claimed else caller


@pytest.mark.parametrize("believes", [False, True])
async def test_a_gateway_that_believes_its_clients_is_told_apart(
    config: WorldConfig, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, believes: bool
) -> None:
    """With one's own session and another's id: connected as itself, or answered in the other's name."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    if believes:
        monkeypatch.setattr(im_socket, "signed_caller", believing)
    own = replace(config, gateway=f"http://127.0.0.1:{free_port()}")
    heard: list[Answer] = []
    async with serving(applications(own, ("gateway",), TokenDelivery.PROXY)), Gateway(own.gateway) as client:
        prevented = await claim(alice.on(client), IM_SOCKET, bob.user_id.hex, heard.append)
        assert prevented == ("" if believes else "connected as itself")
        # A refusal keeps the other out as well.
        assert (await claim(alice.on(client), "/nowhere", bob.user_id.hex, heard.append)).startswith(
            "refused: HTTP 403"
        )
    assert all(answer.socket for answer in heard)
