"""HTTP clients with an allow-list in the transport, before anything is sent, and limits on every answer."""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from verifier.stores.errors import Forbidden, StoreError, TooLarge
from verifier.stores.statement_log import StatementLog

MIB = 1 << 20
BODY_MAX_BYTES = 32 * MIB
"""Largest body that is read, before and after decompression. A thousand users of OpenIM take less than 1 MiB."""
LAST_RESORT = 2.0
"""A whole answer may take this many times the time limit. Budgets end it earlier; this limit is for requests without one."""
BUSY = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""
ENCODINGS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""The window that zlib needs for each encoding that an `Inflater` reads."""


def retry_after_s(response: httpx.Response) -> float | None:
    """Header `Retry-After` in seconds: a number, or a time (RFC 9110, section 10.2.3). The time is compared with that of the
    same server. None where the server does not say."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    try:
        now = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        now = datetime.now(UTC)
    return max(0.0, (_aware(until) - _aware(now)).total_seconds())


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


class Inflater:
    """Decompresses a body piece by piece and never makes more than `limit_bytes` of it, whatever was packed into it."""

    def __init__(self, wbits: int, limit_bytes: int) -> None:
        self._wbits = wbits
        self._room = limit_bytes + 1
        self._member = zlib.decompressobj(wbits)
        self.whole = False
        """Whether the data so far end where a compressed stream ends."""

    def feed(self, data: bytes) -> bytes:
        """The decompressed form of the next bytes, cut when there is too much of it. Raises zlib.error."""
        parts: list[bytes] = []
        while data and self._room > 0:
            if self._member.eof:  # a gzip file may have several members
                self._member = zlib.decompressobj(self._wbits)
            parts.append(self._member.decompress(data, self._room))
            self._room -= len(parts[-1])
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        self.whole = self._member.eof
        return b"".join(parts)


class _BoundedBody(httpx.AsyncByteStream):
    """A response's body with a limit on its bytes and on the time until its end."""

    def __init__(self, response: httpx.Response, what: str, *, limit_bytes: int, until: float) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - what an asynchronous transport returns
        self._inner = response.stream
        self._what = what
        self._limit_bytes = limit_bytes
        self._until = until
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        self._inflater = Inflater(ENCODINGS[encoding], limit_bytes) if encoding in ENCODINGS else None
        self._unknown = "" if self._inflater or encoding in ("", "identity") else encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = made = 0
        async for chunk in self._chunks():
            if self._unknown:
                raise StoreError(
                    f"{self._what} is answered in encoding {self._unknown[:40]!r}, which was not asked for."
                )
            received += len(chunk)
            piece = self._inflated(chunk)
            made += len(piece)
            if max(received, made) > self._limit_bytes:
                raise TooLarge(
                    f"{self._what} is answered with more than {self._limit_bytes / MIB:g} MiB. The rest is not read. Find out what "
                    "answers there, or ask for less at once."
                )
            yield piece
        if received and self._inflater is not None and not self._inflater.whole:
            raise StoreError(f"{self._what} is answered with compressed data that end too early.")

    def _inflated(self, chunk: bytes) -> bytes:
        if self._inflater is None:
            return chunk
        try:
            return self._inflater.feed(chunk)
        except zlib.error:
            raise StoreError(f"{self._what} is answered with data that cannot be decompressed.") from None

    async def _chunks(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._inner)
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    chunk = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise httpx.ReadTimeout(f"{self._what} is answered too slowly") from None
            yield chunk

    async def aclose(self) -> None:
        """Close the connection, or return it to the pool."""
        await self._inner.aclose()


class AllowListTransport(httpx.AsyncBaseTransport):
    """A transport that sends a request only if `allowed(method, path)` is true, and raises Forbidden otherwise.

    Every answer is bounded: reading a body of more than `body_max_bytes`, compressed or not, raises TooLarge, and an answer that
    is not complete after `total_s` raises httpx.ReadTimeout. Bodies are handed out decompressed.

    `timed`: also log the time of each answer by host, for requests that do not pass a budget. `label`: the store's name for
    messages.
    """

    def __init__(
        self,
        allowed: Callable[[str, str], bool],
        statement_log: StatementLog,
        inner: httpx.AsyncBaseTransport,
        *,
        timed: bool = False,
        total_s: float = 60.0,
        body_max_bytes: int = BODY_MAX_BYTES,
        label: str = "",
    ) -> None:
        self._label = label
        self._allowed = allowed
        self._statement_log = statement_log
        self._inner = inner
        self._timed = timed
        self._total_s = total_s
        self._body_max_bytes = body_max_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request if it is allowed."""
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        if not self._allowed(request.method, path):
            self._statement_log.refused += 1
            raise Forbidden(f"refused {request.method} {path}: it is not on the list of requests that only read")
        if not self._timed:
            self._statement_log.note(f"{request.method} {path}")
            return await self._send(request, f"{request.method} {path}")
        form = f"{request.method} {request.url.scheme}://{request.url.netloc.decode('ascii')}/…"
        self._statement_log.note(request.method, form)
        begun = time.monotonic()
        answered = False
        try:
            response = await self._send(request, form)
            answered = True
            return response
        finally:
            self._statement_log.answered(form, took_s=time.monotonic() - begun, rows=int(answered), failed=not answered)

    async def _send(self, request: httpx.Request, what: str) -> httpx.Response:
        until = asyncio.get_running_loop().time() + self._total_s
        what = f"{self._label}: {what}" if self._label else what
        try:
            async with asyncio.timeout_at(until):
                response = await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout(f"{what} is not answered in time") from None
        # The body is decompressed here, where it can be bounded, and not by httpx.
        return httpx.Response(
            response.status_code,
            headers=[item for item in response.headers.raw if item[0].lower() != b"content-encoding"],
            stream=_BoundedBody(response, what, limit_bytes=self._body_max_bytes, until=until),
            extensions=response.extensions,
        )

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
    total_s: float | None = None,
    body_max_bytes: int = BODY_MAX_BYTES,
    label: str = "",
) -> httpx.AsyncClient:
    """A client of one server. It ignores system proxies and does not follow redirects, because both could lead out of the
    stack.

    `total_s`: how long a whole answer may take, in seconds. `body_max_bytes`, `label`: see AllowListTransport.
    """
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    inner = httpx.AsyncHTTPTransport(verify=verify, retries=1)
    return httpx.AsyncClient(
        base_url=base_url,
        transport=AllowListTransport(
            allowed,
            statement_log,
            inner,
            timed=timed,
            total_s=total_s or LAST_RESORT * (timeout_s + connect_timeout_s),
            body_max_bytes=body_max_bytes,
            label=label,
        ),
        headers={"Accept-Encoding": "gzip"},
        timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s),
        auth=auth,
        trust_env=False,
        follow_redirects=False,
    )
