"""Relation `media.head`: HEAD requests to the hosts in `media.allowed_hosts`, and to no others [D10].

Only HEAD is sent. A GET, even of one byte, may use up a link that works once, and counts as a download.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from verifier.model.invariant import Row
from verifier.profile.inventory import Media
from verifier.stores.errors import PartialAnswer, StoreError
from verifier.stores.http import BUSY, guarded_client, retry_after_s
from verifier.stores.statement_log import StatementLog

TIMEOUT_S = 10
CONCURRENCY = 8
REDIRECTS_MAX = 3
PAUSE_S, PAUSE_MAX_S = 0.5, 5.0
"""How long to wait before a busy server is asked once more: by default, and at most."""
GONE = frozenset({404, 410})
THERE = "there"
NOT_ALLOWED = "host not allowed"
NOT_A_URL = "not a URL"
_PAGE = re.compile(r"\.x?html?\Z", re.IGNORECASE)
_ADVICE = {
    "HTTP 403": "signed URLs expire or are signed for GET alone: map the URL without its signature to an address that may be asked",
    "HTTP 401": "the server wants a login: let the verifier's address ask without one",
    "HTTP 405": "the server does not answer HEAD",
    "HTTP 501": "the server does not answer HEAD",
}


class MediaSource:
    """Whether a URL is served. Only a definite answer is a state: the URL is served (HTTP 200), or it is not (404, 410).

    A redirect is followed to a host that is allowed as well, and never from https to http.
    """

    label = "media.head (HEAD)"
    key: tuple[str, ...] = ("url",)
    queries: tuple[str, ...] = ("HEAD of each URL on an allowed host",)

    def __init__(self, config: Media, statement_log: StatementLog) -> None:
        self._config = config
        self.statement_log = statement_log

    def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Not available: no server lists everything that it serves."""
        raise NotImplementedError("media.head can only be looked up")

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The `state` of each URL: `there`, `HTTP 404`, `HTTP 410`, `host not allowed` or `not a URL`.

        Raises PartialAnswer where the answer of a URL is none of these: a refusal, a redirect elsewhere, a failure.
        """
        slots = asyncio.Semaphore(CONCURRENCY)
        try:
            client = guarded_client(
                "",
                lambda method, _path: method == "HEAD",
                self.statement_log,
                timeout_s=TIMEOUT_S,
                connect_timeout_s=TIMEOUT_S,
                total_s=2 * TIMEOUT_S,
                ca_file=self._config.tls_ca_file,
                timed=True,
            )
        except OSError as error:
            raise StoreError(f"{self.label}: {error}. Correct media.tls_ca_file in the profile.") from None
        async with client:
            found = await asyncio.gather(*(self._state(client, slots, str(value)) for value in values))
        states = dict(zip(values, found, strict=True))
        rows = [{"url": str(value), "state": state} for value, (state, is_known) in states.items() if is_known]
        unknown = {value: why for value, (why, is_known) in states.items() if not is_known}
        if unknown:
            raise PartialAnswer(_summary(unknown.values(), len(states)), rows, list(unknown))
        return rows

    async def _state(self, client: httpx.AsyncClient, slots: asyncio.Semaphore, url: str) -> tuple[str, bool]:
        """A URL's state, or why it is not known; and whether it is known."""
        try:
            target = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            return NOT_A_URL, True
        if not self._config.allows(url):
            return NOT_ALLOWED, True
        async with slots:
            try:
                return await self._followed(client, target)
            except httpx.HTTPError as error:
                return f"no answer ({_kind_of(error)})", False
            except (httpx.InvalidURL, StoreError, ValueError) as error:
                return f"no answer ({type(error).__name__})", False

    async def _followed(self, client: httpx.AsyncClient, target: httpx.URL) -> tuple[str, bool]:
        for _ in range(REDIRECTS_MAX + 1):
            response = await _head(client, target)
            if not 300 <= response.status_code < 400:
                return _meaning(response, target)
            said = f"a redirect (HTTP {response.status_code})"
            if "location" not in response.headers:
                return f"{said} to nowhere", False
            further = target.join(response.headers["location"])
            if not self._config.allows(str(further)):
                return f"{said} to a host that media.allowed_hosts does not name", False
            if target.scheme == "https" and further.scheme != "https":
                return f"{said} from https to http", False
            target = further
        return f"more than {REDIRECTS_MAX} redirects", False


async def _head(client: httpx.AsyncClient, target: httpx.URL) -> httpx.Response:
    """The answer to HEAD; a busy server is asked a second time, after the pause that it asks for if that is short."""
    response = await client.head(target)
    if response.status_code in BUSY:
        wanted_s = retry_after_s(response)
        pause_s = PAUSE_S if wanted_s is None else wanted_s
        if pause_s <= PAUSE_MAX_S:
            await asyncio.sleep(pause_s)
            response = await client.head(target)
    return response


def _meaning(response: httpx.Response, target: httpx.URL) -> tuple[str, bool]:
    """What an answer says of its URL, and whether that is definite."""
    state = f"HTTP {response.status_code}"
    if response.status_code in GONE:
        return state, True
    if response.status_code != 200:
        return state, False
    if response.headers.get("content-length", "").strip() == "0":
        return f"{state} with length 0", False
    if "html" in response.headers.get("content-type", "").lower() and not _PAGE.search(target.path):
        return f"{state} with an HTML page", False  # a login or error page has this status as well
    return THERE, True


def _kind_of(error: httpx.HTTPError) -> str:
    """The cause of a failure in a few words, without addresses, so that equal causes are counted together."""
    if isinstance(error, httpx.TimeoutException):
        return "time-out"
    causes = [error, error.__cause__, getattr(error.__cause__, "__cause__", None), error.__context__]
    text = " ".join(str(cause) for cause in causes if cause)
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in text or "TLS" in text:
        return "TLS: the certificate or the protocol is not accepted; media.tls_ca_file names an authority of your own"
    if "name resolution" in text or "Name or service not known" in text or "getaddrinfo" in text or "nodename" in text:
        return "the host's name is not known"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "the connection broke, or the answer is not HTTP"


def _summary(reasons: Any, asked: int) -> str:
    counted = Counter(reasons).most_common()
    shown = "; ".join(f"{count} of {asked} answered {why}" for why, count in counted[:4])
    more = f"; {len(counted) - 4} more reasons" if len(counted) > 4 else ""
    advice = next((text for why, _ in counted for state, text in _ADVICE.items() if why == state), "")
    return (
        f"media.head (HEAD): {shown}{more}. This does not say whether the files are there"
        + (f" ({advice})" if advice else "")
        + ". Correct the URLs or media.allowed_hosts in the profile, or ask the server's operator."
    )
