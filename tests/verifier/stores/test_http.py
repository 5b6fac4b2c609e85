"""Every answer over HTTP is bounded, in bytes and in time, and what is not allowed is not sent."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from fixtures.services.strange_proxy import Asked, Reply, StrangeProxy, Twist, slowly
from verifier.stores.errors import Forbidden, StoreError, TooLarge
from verifier.stores.http import Inflater, guarded_client
from verifier.stores.statement_log import StatementLog

pytestmark = [pytest.mark.anyio, pytest.mark.long]

LIMIT = 100_000


@pytest.fixture
def server() -> Iterator[StrangeProxy]:
    """A server that answers as its twist says."""
    with StrangeProxy("http://127.0.0.1:1") as server:
        yield server


@asynccontextmanager
async def _client(server: StrangeProxy, *, total_s: float = 5.0) -> AsyncIterator[httpx.AsyncClient]:
    async with guarded_client(
        server.url,
        lambda method, path: path == "/read",
        StatementLog(),
        timeout_s=2,
        connect_timeout_s=2,
        total_s=total_s,
        body_max_bytes=LIMIT,
        label="a store",
    ) as client:
        yield client


def _endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 10_000


BOMB = gzip.compress(b"\0" * (50 << 20))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"x" * (LIMIT + 1)),
        Reply(body=_endless()),
        Reply(body=BOMB, headers={"Content-Encoding": "gzip"}),
        Reply(body=zlib.compress(b"\0" * (50 << 20)), headers={"Content-Encoding": "deflate"}),
        Reply(body=iter([BOMB[:20_000], BOMB[20_000:]]), headers={"Content-Encoding": "gzip"}),
        Reply(body=gzip.compress(b"\0" * 60_000) * 3, headers={"Content-Encoding": "gzip"}),
        Reply(body=gzip.compress(b"", 0) * 10_000, headers={"Content-Encoding": "gzip"}),
    ],
    ids=["long", "endless", "gzip bomb", "deflate bomb", "bomb in pieces", "bomb in members", "empty members"],
)
async def test_a_body_without_end_is_not_read(server: StrangeProxy, reply: Reply) -> None:
    """Reading stops at the limit, and the sentence names the store."""
    server.twist = lambda asked: reply
    async with _client(server) as client:
        with pytest.raises(TooLarge, match="a store: GET /read is answered with more than"):
            await client.get("/read")


async def test_a_body_within_the_limit_is_whole(server: StrangeProxy) -> None:
    """Plain, compressed, and compressed in several members."""
    body = bytes(range(256)) * 300
    packed = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    async with _client(server) as client:
        for reply in (
            Reply(body=body),
            Reply(body=gzip.compress(body), headers={"Content-Encoding": "gzip"}),
            Reply(body=packed, headers={"Content-Encoding": "x-gzip"}),
            Reply(body=zlib.compress(body), headers={"Content-Encoding": "deflate"}),
            Reply(body=iter([body[:5], body[5:]])),
        ):
            server.twist = lambda asked, reply=reply: reply  # type: ignore[misc]  # a default binds it
            response = await client.get("/read")
            assert response.content == body
            assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}), "cannot be decompressed"),
        (Reply(body=gzip.compress(b"x" * 900)[:-9], headers={"Content-Encoding": "gzip"}), "end too early"),
        (Reply(body=b"x", headers={"Content-Encoding": "br"}), "encoding 'br', which was not asked for"),
    ],
    ids=["no gzip", "cut", "unknown"],
)
async def test_a_body_that_cannot_be_decompressed(server: StrangeProxy, reply: Reply, said: str) -> None:
    """It is an error of the store, with a sentence."""
    server.twist = lambda asked: reply
    async with _client(server) as client:
        with pytest.raises(StoreError, match=said):
            await client.get("/read")


def _late(_: Asked) -> Reply:
    time.sleep(1.5)
    return Reply()


@pytest.mark.parametrize(
    "twist",
    [lambda _: Reply(body=slowly(iter(lambda: b" ", b""), 0.05)), _late],
    ids=["body", "headers"],
)
async def test_an_answer_that_drips_ends_in_time(server: StrangeProxy, twist: Twist) -> None:
    """Each byte comes within the time limit, the whole answer does not."""
    server.twist = twist
    async with _client(server, total_s=0.4) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/read")


async def test_what_is_not_allowed_is_not_sent(server: StrangeProxy) -> None:
    """The request does not reach the server."""
    async with _client(server) as client:
        with pytest.raises(Forbidden):
            await client.get("/write")
    assert server.asked == []


async def test_redirects_are_not_followed(server: StrangeProxy) -> None:
    """Nor do system proxies apply."""
    server.twist = lambda asked: Reply(status=302, headers={"Location": "/read"})
    async with _client(server) as client:
        assert (await client.get("/read")).status_code == 302
    assert server.asked == ["/read"]


async def test_a_head_that_is_answered_with_a_body(server: StrangeProxy) -> None:
    """A body after the answer to HEAD is not read."""
    server.twist = lambda asked: Reply(body=b"", headers={"Content-Length": "999999999"})
    async with _client(server) as client:
        response = await client.head("/read")
    assert (response.status_code, response.content) == (200, b"")


def test_an_inflater_stops_behind_its_limit() -> None:
    """It makes one byte more than the limit, which shows that there is too much, and no further one."""
    inflater = Inflater(zlib.MAX_WBITS | 16, 1000)
    assert len(inflater.feed(BOMB)) == 1001
    assert inflater.feed(BOMB) == b""
