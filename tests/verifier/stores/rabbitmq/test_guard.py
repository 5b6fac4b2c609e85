"""The management API is only reached by GET, and only for paths that describe the broker."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole
from verifier.stores.errors import Denied, Forbidden, Missing, StoreError, Unreachable
from verifier.stores.http import AllowListTransport
from verifier.stores.rabbitmq.client import segment
from verifier.stores.rabbitmq.guard import is_read_request
from verifier.stores.rabbitmq.store import RabbitMQStore

READS = """
    /api/overview /api/whoami /api/nodes /api/vhosts /api/permissions /api/users/me/permissions
    /api/users/me/topic-permissions /api/queues/%2F/a..b /api/queues/a..b/%2F..%2Fq
    /api/queues /api/queues/%2F /api/queues/%2F/chat.message.notify /api/exchanges/%2F/chat /api/bindings/%2F /api/consumers/%2F
    /api/policies/%2F /api/operator-policies/%2F /api/parameters /api/parameters/shovel/%2F /api/shovels /api/federation-links
""".split()
REFUSED = """
    /api/aliveness-test/%2F /api/definitions /api/users /api/users/me /api/queues/%2F/q/get /api/queues/%2F/q/contents
    /api/queues/%2F/q/bindings /api/connections /api/channels /api/health/checks/alarms /api/auth/attempts /api/extensions
    /api/global-parameters /api/overview/ /api/nodes/rabbit@a/memory /api /cli /overview /api/queues/../definitions
    /api/queues/%2F/.. /api/queues/%2F/. /api/queues/%2F/%2E%2E /api/queues/%2E%2E/q /api/users/me/topic-permissions/x
""".split()


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "get"])
def test_other_methods_are_refused(path: str, method: str) -> None:
    """The same paths write with another method."""
    assert is_read_request("GET", path)
    assert not is_read_request(method, path)


@pytest.mark.parametrize("path", REFUSED)
def test_other_paths_are_refused(path: str) -> None:
    """`aliveness-test` is a GET that publishes; `definitions` and `users` return password hashes."""
    assert not is_read_request("GET", path)


_names = st.text(min_size=1).filter(lambda text: text not in (".", ".."))


@settings(deadline=None)
@given(vhost=_names, queue=_names)
def test_every_name_is_one_segment(vhost: str, queue: str) -> None:
    """A name never leads to another path, whatever its characters are."""
    path = f"/api/queues/{segment(vhost)}/{segment(queue)}"
    assert path.count("/") == 4
    assert is_read_request("GET", path)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_is_no_segment_is_an_error(name: str) -> None:
    """A client removes such a segment, and the broker answers about something else."""
    with pytest.raises(StoreError, match="no path for an object"):
        segment(name)


def _store(
    answer: httpx.Response, *, url: str = "http://me:p%40ss@broker:15672"
) -> tuple[RabbitMQStore, list[httpx.Request]]:
    """A store whose network is a fixed answer."""
    store = RabbitMQStore("broker", BrokerRole.model_validate({"management_url": url}))
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer

    guard = store._client._transport
    assert isinstance(guard, AllowListTransport)
    guard._inner = httpx.MockTransport(respond)
    return store, seen


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url", ["http://me:p%40ss@broker:15672", "http://me:p%40ss@broker:15672/api/", "http://me:p%40ss@broker/mq"]
)
async def test_a_refused_request_is_not_sent(url: str) -> None:
    """The guard is in the transport, also with a path prefix, and it counts."""
    answer = httpx.Response(200, json={}, headers={"date": "Tue, 24 Nov 2026 00:09:29 GMT"})
    store, seen = _store(answer, url=url)
    for path in ("/api/definitions", "/api/aliveness-test/%2F"):
        with pytest.raises(Forbidden):
            await store.get(path)
    assert (seen, store.statement_log.refused) == ([], 2)
    await store.get(f"/api/queues/{segment('/')}/{segment('q 1/😀')}")
    assert seen[0].url.raw_path.endswith(b"/api/queues/%2F/q%201%2F%F0%9F%98%80")
    assert seen[0].headers["authorization"] == httpx.BasicAuth("me", "p@ss")._auth_header


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (httpx.Response(401, json={"reason": "Login failed"}), Denied, "Login failed.*tag monitoring"),
        (httpx.Response(404, json={"error": "Object Not Found"}), Missing, "nothing at"),
        (httpx.Response(503, text="proxy"), StoreError, "HTTP 503.*management_url"),
        (httpx.Response(200, text="<html>"), StoreError, "management plugin"),
    ],
)
async def test_unusable_answers_are_errors(answer: httpx.Response, kind: type[Exception], text: str) -> None:
    """Each has a message with the next step."""
    store, _ = _store(answer)
    with pytest.raises(kind, match=text):
        await store.get("/api/overview")


@pytest.mark.anyio
async def test_shovels_without_the_policymaker_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters are for policymakers. Otherwise running links come from the plugins' pages, and a missing page is
    unreadable."""
    store, _ = _store(httpx.Response(200))
    plugins = ["rabbitmq_management", "rabbitmq_shovel", "rabbitmq_shovel_management", "rabbitmq_federation"]
    shovel = {
        "name": "s",
        "vhost": "/",
        "src_queue": "chat.message.notify",
        "src_uri": "amqp://u:secret@h",
        "state": "running",
    }

    async def get(path: str, **_: object) -> object:
        match path:
            case "/api/whoami":
                return {"name": "me", "tags": ["monitoring"]}
            case "/api/vhosts":
                return [{"name": "/"}]
            case "/api/queues/%2F":
                return {"items": [], "page_count": 1}
            case "/api/nodes":
                return [{"enabled_plugins": plugins}]
            case "/api/shovels":
                return [shovel]
        raise Denied(f"denied {path}")

    monkeypatch.setattr(store, "get", get)
    found = await store.listing("parameters")
    assert [(item.kind, item.name) for item in found] == [
        ("parameter", "shovel s@/"),
        ("unreadable", "federation definitions"),
    ]
    assert "chat.message.notify" in str(found[0].attributes)
    assert "secret" not in str(found)


@pytest.mark.anyio
async def test_parameters_for_a_policymaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Definitions have no URLs, which contain passwords."""
    store, _ = _store(httpx.Response(200))
    value = {"src-queue": "chat.message.notify", "src-uri": "amqp://u:secret@h", "dest-uri": ["amqp://u:secret@h"]}

    async def get(path: str, **_: object) -> object:
        match path:
            case "/api/whoami":
                return {"name": "me", "tags": ["policymaker", "monitoring"]}
            case "/api/vhosts":
                return [{"name": "/"}]
            case _:
                return [{"component": "shovel", "name": "s", "vhost": "/", "value": value}]

    monkeypatch.setattr(store, "get", get)
    found = await store.listing("parameters")
    assert [(item.kind, item.name) for item in found] == [("parameter", "shovel s@/")]
    assert found[0].attributes["value"] == {"src-queue": "chat.message.notify"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"management_url": "nonsense"}, "is not a URL"),
        ({"management_url": "ftp://u:secret@broker"}, "is not a URL"),
        ({"management_url": "http://u:secret@broker:port"}, "Invalid port"),
        ({"management_url": "https://u:secret@broker", "tls_ca_file": "/there/is/none"}, "tls_ca_file"),
    ],
)
def test_bad_urls(settings: dict[str, str], text: str) -> None:
    """A URL that cannot be used is an error at once, without its password."""
    with pytest.raises(StoreError, match=text) as caught:
        RabbitMQStore("broker", BrokerRole.model_validate(settings))
    assert "secret" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["nonsense", "amqp://u:secret@127.0.0.1:1/", "amqp://u:secret@broker:port/"])
async def test_amqp_that_cannot_be_reached(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A passive declare is unknown, the tap is an error; neither shows the password."""
    role = BrokerRole.model_validate({"management_url": "http://broker", "amqp_url": url, "connect_timeout_s": 1})
    store = RabbitMQStore("broker", role)
    assert (await store.passive_declare("/", "q")).state == "unknown"
    with pytest.raises(Unreachable, match=r"roles\.broker\.amqp_url") as caught:
        [row async for chunk in store.tap(Queue(name="tap")).chunks() for row in chunk]
    assert "secret" not in str(caught.value) + caplog.text
