"""How a canary connects to OpenIM's WebSocket: with a token, or through the platform's gateway with a session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from fixtures.clients.gateway import IM_SOCKET, Gateway, Session
from fixtures.clients.signing import signed_headers
from load.config import SdkType
from load.engine.plan import Address

_NICKNAME = "Load canary"


def direct(
    ws_url: str, *, user_id: str, token: str, platform_id: int, sdk_type: SdkType = "js", gzipped: bool = False
) -> Address:
    """The address of OpenIM's own gateway, with a token that is the same for all connections."""
    query = {"sendID": user_id, "token": token, "platformID": str(platform_id)} | _query(sdk_type, gzipped)
    url = f"{ws_url.rstrip('/')}/?{urlencode(query)}"
    return lambda: (url, {})


def through_gateway(
    session: Session, *, path: str = IM_SOCKET, sdk_type: SdkType = "js", gzipped: bool = False
) -> Address:
    """The address at the platform's gateway, which identifies the user by the session and adds the imToken.

    Each connection is signed anew.
    """
    target = f"{path}?{urlencode(_query(sdk_type, gzipped))}"
    url = str(session.gateway.http.base_url).rstrip("/").replace("http", "ws", 1) + target

    def address() -> tuple[str, Mapping[str, str]]:
        return url, signed_headers(session.session_id, session.secret, method="GET", target=target, body=b"")

    return address


def sign_in(gateway_url: str, phones: Sequence[str], *, platform_id: int) -> list[Session]:
    """Sessions for these phone numbers, in order; an unknown number signs up.

    Runs an event loop of its own: under gevent call it in a native thread. Raises GatewayError and httpx.HTTPError.
    """

    async def all_of_them() -> list[Session]:
        async with Gateway(gateway_url) as gateway:
            return [await gateway.login(phone, platform=platform_id, nickname=_NICKNAME) for phone in phones]

    return asyncio.run(all_of_them())


def _query(sdk_type: SdkType, gzipped: bool) -> dict[str, str]:
    query = {"operationID": "load", "isBackground": "false", "sdkType": sdk_type}
    return query | ({"compression": "gzip"} if gzipped else {})
