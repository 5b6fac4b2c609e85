"""What passes between a client and a REST server, written down: a proxy that changes nothing."""

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

from fixtures.stack.ports import claim_port

_PASSED_ON = ("content-type", "token", "operationid", "accept-encoding")
_READY_WITHIN_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Passed:
    """One call as it passed."""

    path: str
    token: str
    content_type: str
    body: bytes
    status: int


@dataclass
class Tap:
    """The calls so far, in the order in which they were answered."""

    url: str
    calls: list[Passed] = field(default_factory=list)

    def paths(self, token: str) -> list[str]:
        """The routes that were called with a token."""
        return [call.path for call in self.calls if call.token == token]


@contextlib.contextmanager
def tapped(api_url: str) -> Iterator[Tap]:
    """Serve a proxy of `api_url` on a free port of loopback, in a thread of its own."""
    port = claim_port()
    tap = Tap(f"http://127.0.0.1:{port}")
    http = httpx.AsyncClient(base_url=api_url, timeout=30.0, trust_env=False)

    async def pass_on(request: Request) -> Response:
        body = await request.body()
        headers = {name: value for name, value in request.headers.items() if name in _PASSED_ON}
        answer = await http.post(request.url.path, content=body, headers=headers)
        tap.calls.append(
            Passed(
                path=request.url.path,
                token=headers.get("token", ""),
                content_type=headers.get("content-type", ""),
                body=body,
                status=answer.status_code,
            )
        )
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    app = Starlette(routes=[Route("/{path:path}", pass_on, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        _wait(tap.url)
        yield tap
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _wait(url: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=50), timeout=_READY_WITHIN_S, trust_env=False) as client:
        client.get(url)
