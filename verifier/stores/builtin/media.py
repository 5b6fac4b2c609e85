"""Relation `media.head`: HEAD requests to the hosts in `media.allowed_hosts`, and to no others [D10]."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from verifier.model.invariant import Row
from verifier.profile.inventory import Media
from verifier.stores.http import guarded_client
from verifier.stores.statement_log import StatementLog

TIMEOUT_S = 10
CONCURRENCY = 8
RANGE_REFUSED = (403, 405, 501)


class MediaSource:
    """Whether a URL is served. Redirects are not followed, because they could lead to a host that is not allowed."""

    label = "media.head (HEAD)"
    key: tuple[str, ...] = ("url",)
    queries: tuple[str, ...] = ("HEAD of each URL on an allowed host; GET of its first byte where HEAD is refused",)

    def __init__(self, config: Media, statement_log: StatementLog) -> None:
        self._hosts = frozenset(config.allowed_hosts)
        self.statement_log = statement_log

    def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Not available: no server lists everything that it serves."""
        raise NotImplementedError("media.head can only be looked up")

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The `state` of each URL: `there`, `host not allowed`, `not a URL`, `HTTP <status>` or `no answer (…)`."""
        slots = asyncio.Semaphore(CONCURRENCY)
        async with guarded_client(
            "",
            lambda method, _path: method in ("HEAD", "GET"),
            self.statement_log,
            timeout_s=TIMEOUT_S,
            connect_timeout_s=TIMEOUT_S,
            timed=True,
        ) as client:
            return await asyncio.gather(*(self._state(client, slots, str(value)) for value in values))

    async def _state(self, client: httpx.AsyncClient, slots: asyncio.Semaphore, url: str) -> Row:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            return {"url": url, "state": "not a URL"}
        if parsed.scheme not in ("http", "https") or parsed.netloc.decode() not in self._hosts:
            return {"url": url, "state": "host not allowed"}
        async with slots:
            try:
                response = await client.head(parsed)
                if response.status_code in RANGE_REFUSED:
                    response = await client.get(parsed, headers={"Range": "bytes=0-0"})
            except httpx.HTTPError as error:
                return {"url": url, "state": f"no answer ({type(error).__name__})"}
        return {"url": url, "state": "there" if response.is_success else f"HTTP {response.status_code}"}
