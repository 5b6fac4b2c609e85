"""A proxy of a REST server that records the calls of clients and changes nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fixtures.services.openim_double import free_port

_FORWARDED = ("content-type", "token", "operationid", "accept-encoding")
_READY_WITHIN_S = 10.0


@dataclass(frozen=True, kw_only=True)
class ProxiedCall:
    """One recorded call."""

    path: str
    token: str
    content_type: str
    body: bytes
    status: int


@dataclass
class RecordingProxy:
    """The recorded calls, in the order of their answers."""

    url: str
    calls: list[ProxiedCall] = field(default_factory=list)

    def paths(self, token: str) -> list[str]:
        """The paths of the calls with a token."""
        return [call.path for call in self.calls if call.token == token]


@contextlib.contextmanager
def recording_proxy(api_url: str) -> Iterator[RecordingProxy]:
    """Serve a proxy of `api_url` on a free port of the loopback interface, in another thread."""
    port = free_port()
    proxy = RecordingProxy(f"http://127.0.0.1:{port}")
    http = httpx.AsyncClient(base_url=api_url, timeout=30.0, trust_env=False)

    async def forward(request: Request) -> Response:
        body = await request.body()
        headers = {name: value for name, value in request.headers.items() if name in _FORWARDED}
        answer = await http.post(request.url.path, content=body, headers=headers)
        proxy.calls.append(
            ProxiedCall(
                path=request.url.path,
                token=headers.get("token", ""),
                content_type=headers.get("content-type", ""),
                body=body,
                status=answer.status_code,
            )
        )
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    app = Starlette(routes=[Route("/{path:path}", forward, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        _wait(proxy.url)
        yield proxy
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _wait(url: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=50), timeout=_READY_WITHIN_S, trust_env=False) as client:
        client.get(url)
