"""HTTP clients with an allow-list in the transport, before anything is sent."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

import httpx

from verifier.stores.errors import Forbidden
from verifier.stores.statement_log import StatementLog


class AllowListTransport(httpx.AsyncBaseTransport):
    """A transport that sends a request only if `allowed(method, path)` is true, and raises Forbidden otherwise.

    `timed`: also log the time of each answer by host, for requests that do not pass a budget.
    """

    def __init__(
        self,
        allowed: Callable[[str, str], bool],
        statement_log: StatementLog,
        inner: httpx.AsyncBaseTransport,
        *,
        timed: bool = False,
    ) -> None:
        self._allowed = allowed
        self._statement_log = statement_log
        self._inner = inner
        self._timed = timed

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request if it is allowed."""
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        if not self._allowed(request.method, path):
            self._statement_log.refused += 1
            raise Forbidden(f"refused {request.method} {path}: it is not on the list of requests that only read")
        if not self._timed:
            self._statement_log.note(f"{request.method} {path}")
            return await self._inner.handle_async_request(request)
        form = f"{request.method} {request.url.scheme}://{request.url.netloc.decode('ascii')}/…"
        self._statement_log.note(request.method, form)
        begun = time.monotonic()
        answered = False
        try:
            response = await self._inner.handle_async_request(request)
            answered = True
            return response
        finally:
            self._statement_log.answered(form, took_s=time.monotonic() - begun, rows=int(answered), failed=not answered)

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


def guarded_client(
    base_url: str,
    allowed: Callable[[str, str], bool],
    statement_log: StatementLog,
    *,
    timeout_s: float,
    connect_timeout_s: float,
    ca_file: str | None = None,
    auth: tuple[str, str] | None = None,
    timed: bool = False,
) -> httpx.AsyncClient:
    """A client of one server. It ignores system proxies and does not follow redirects, because both could lead out of the
    stack."""
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    inner = httpx.AsyncHTTPTransport(verify=verify, retries=1)
    return httpx.AsyncClient(
        base_url=base_url,
        transport=AllowListTransport(allowed, statement_log, inner, timed=timed),
        timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s),
        auth=auth,
        trust_env=False,
        follow_redirects=False,
    )
