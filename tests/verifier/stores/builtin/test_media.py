"""Media are asked for with HEAD alone, and only a definite answer says that a file is there or gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from fixtures.processes.ports import claim_port, release_port
from fixtures.services.strange_proxy import Asked, Reply, StrangeProxy
from verifier.profile.inventory import Media
from verifier.stores.builtin import media
from verifier.stores.builtin.media import MediaSource
from verifier.stores.errors import PartialAnswer, StoreError
from verifier.stores.statement_log import StatementLog

pytestmark = [pytest.mark.anyio, pytest.mark.long]

IMAGE = Reply(headers={"Content-Type": "image/png", "Content-Length": "10"})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses and time limits."""
    monkeypatch.setattr(media, "PAUSE_S", 0.01)
    monkeypatch.setattr(media, "TIMEOUT_S", 1)


@pytest.fixture
def server() -> Iterator[StrangeProxy]:
    """A media server that answers as its twist says."""
    with StrangeProxy("http://127.0.0.1:1") as server:
        yield server


def _source(*servers: StrangeProxy, **more: str) -> MediaSource:
    hosts = [server.url.removeprefix("http://") for server in servers]
    return MediaSource(Media.model_validate({"allowed_hosts": hosts, **more}), StatementLog())


async def _state(source: MediaSource, url: str) -> str:
    (row,) = await source.lookup("url", [url])
    return str(row["state"])


async def _why(source: MediaSource, url: str) -> str:
    with pytest.raises(PartialAnswer) as caught:
        await source.lookup("url", [url])
    assert (caught.value.rows, caught.value.unanswered) == ([], [url])
    return str(caught.value)


async def test_definite_answers(server: StrangeProxy) -> None:
    """200 with a length, or without one, is there; 404 and 410 are not; another host is not asked."""
    source = _source(server)
    for reply, state in [
        (IMAGE, "there"),
        (Reply(body=iter(()), headers={"Content-Type": "image/png"}), "there"),
        (Reply(status=404), "HTTP 404"),
        (Reply(status=410, body=b"<html>gone</html>"), "HTTP 410"),
    ]:
        server.twist = lambda asked, reply=reply: reply  # type: ignore[misc]  # a default binds it
        assert await _state(source, f"{server.url}/a.png") == state
    asked = len(server.asked)
    assert await _state(source, "https://cdn.example/a.png") == "host not allowed"
    assert await _state(source, "media/a.png") == "host not allowed"
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=403), "HTTP 403.*signed URLs expire"),
        (Reply(status=401), "HTTP 401.*wants a login"),
        (Reply(status=405), "HTTP 405.*does not answer HEAD"),
        (Reply(status=501), "HTTP 501.*does not answer HEAD"),
        (Reply(status=400), "HTTP 400"),
        (Reply(status=500), "HTTP 500"),
        (Reply(status=503), "HTTP 503"),
        (Reply(status=429, headers={"Retry-After": "3600"}), "HTTP 429"),
        (Reply(status=204), "HTTP 204"),
        (Reply(headers={"Content-Length": "0"}), "HTTP 200 with length 0"),
        (Reply(headers={"Content-Type": "text/html; charset=utf-8", "Content-Length": "99"}), "with an HTML page"),
        (Reply(status=302), "to nowhere"),
        (Reply(status=302, headers={"Location": "https://elsewhere.example/x?signature=1"}), "does not name"),
        (Reply(status=307, headers={"Location": "/again"}), "more than 3 redirects"),
        (Reply(status=302, headers={"Location": "http://[bad"}), "no answer|does not name"),
        (Reply(reset=True), "the connection broke"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_answers_that_say_nothing_about_the_file(server: StrangeProxy, reply: Reply, said: str) -> None:
    """The URL is unanswered, with the reason and no signature in the sentence."""
    server.twist = lambda asked: reply
    why = await _why(_source(server), f"{server.url}/a.png?X-Amz-Signature=secret")
    assert re.search(said, why), why
    assert "secret" not in why
    assert "signature=1" not in why


async def test_failures_of_the_network() -> None:
    """No connection, an unknown name and a wrong certificate are told apart, and none of them is "gone"."""
    port = claim_port()
    try:
        source = MediaSource(Media(allowed_hosts=(f"127.0.0.1:{port}", "no-such-host.invalid")), StatementLog())
        assert "no answer (no connection)" in await _why(source, f"http://127.0.0.1:{port}/a.png")
        assert "the host's name is not known" in await _why(source, "http://no-such-host.invalid/a.png")
    finally:
        release_port(port)


async def test_plain_http_where_tls_is_expected(server: StrangeProxy) -> None:
    """A server that does not speak TLS is unknown."""
    assert "TLS" in await _why(_source(server), f"{server.url}/a.png".replace("http:", "https:"))


def _redirecting(to: str) -> Callable[[Asked], Reply]:
    return lambda asked: IMAGE if asked.route == "/real" else Reply(status=302, headers={"Location": to})


async def test_a_redirect_to_an_allowed_host_is_followed(server: StrangeProxy) -> None:
    """As object stores do with presigned URLs; the target is asked with HEAD too."""
    server.twist = _redirecting("/real")
    assert await _state(_source(server), f"{server.url}/a.png") == "there"
    with StrangeProxy("http://127.0.0.1:1") as store:
        store.twist = lambda asked: Reply(status=404)
        server.twist = _redirecting(f"{store.url}/gone")
        assert await _state(_source(server, store), f"{server.url}/a.png") == "HTTP 404"
        assert "does not name" in await _why(_source(server), f"{server.url}/a.png")


async def test_a_busy_server_is_asked_again(server: StrangeProxy) -> None:
    """One pause, then one more request."""
    server.twist = lambda asked: IMAGE if len(server.asked) > 1 else Reply(status=503)
    assert await _state(_source(server), f"{server.url}/a.png") == "there"
    assert len(server.asked) == 2


async def test_reasons_are_counted(server: StrangeProxy) -> None:
    """What was answered is a row; the rest is one sentence, with equal reasons counted."""
    statuses = {"/1": 200, "/2": 404}
    server.twist = lambda asked: (
        IMAGE if statuses.get(asked.route) == 200 else Reply(status=statuses.get(asked.route, 403))
    )
    urls = [f"{server.url}/{number}" for number in range(1, 40)]
    with pytest.raises(PartialAnswer, match="37 of 39 answered HTTP 403") as caught:
        await _source(server).lookup("url", urls)
    assert [row["state"] for row in caught.value.rows] == ["there", "HTTP 404"]
    assert caught.value.unanswered == urls[2:]


async def test_only_head_is_sent(server: StrangeProxy) -> None:
    """Also where HEAD is refused: a GET may use up a link."""
    methods = []

    def twist(asked: Asked) -> Reply:
        methods.append(asked.method)
        return Reply(status=405)

    server.twist = twist
    await _why(_source(server), f"{server.url}/a.png")
    assert methods == ["HEAD"]


async def test_a_wrong_authority_is_an_error_of_the_profile(server: StrangeProxy) -> None:
    """A CA file that does not exist is named."""
    with pytest.raises(StoreError, match=r"media\.tls_ca_file"):
        await _source(server, tls_ca_file="/nonexistent/ca.pem").lookup("url", [])


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://media.example.com/a", True),
        ("https://MEDIA.example.com:443/a", True),
        ("http://media.example.com:80/a", True),
        ("http://user@media.example.com/a", True),
        ("https://media.example.com:8443/a", False),
        ("https://media.example.com.evil.example/a", False),
        ("https://evil.example/media.example.com", False),
        ("ftp://media.example.com/a", False),
        ("//media.example.com/a", False),
        ("http://[bad", False),
        ("minio:9000/a", False),
        ("http://minio:9000/a", True),
    ],
)
def test_allowed_hosts(url: str, allowed: bool) -> None:
    """A host is compared without regard to case and with its port; the default port may be left out."""
    assert Media(allowed_hosts=("media.example.com", "minio:9000")).allows(url) is allowed
