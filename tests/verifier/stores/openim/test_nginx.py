"""OpenIM behind nginx: a path prefix, TLS by an authority of one's own, limits, redirects, and a dead OpenIM."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.processes.ports import LOOPBACK, claim_port, release_port
from fixtures.services.openim_double import DoubleProcess, running_double
from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import OpenIMRole
from verifier.stores.errors import RouteClosed, StoreError, Unreachable
from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.source import OpenIMSource

NGINX, OPENSSL = shutil.which("nginx"), shutil.which("openssl")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.long,
    pytest.mark.skipif(
        NGINX is None or OPENSSL is None,
        reason="nginx or openssl is not installed: apt-get install nginx-light openssl",
    ),
]

USERS = [f"u{number:03d}" for number in range(120)]
CONFIGURATION = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;
  limit_req_zone $server_port zone=slow:1m rate=5r/s;
  ssl_certificate {directory}/server.pem; ssl_certificate_key {directory}/server.key;
  server {{
    listen {http};
    location /api/ {{ proxy_pass {openim}/; }}
    location /limited/ {{
      limit_req zone=slow; limit_req_status 429; add_header Retry-After 1 always; proxy_pass {openim}/;
    }}
    location /small/ {{ client_max_body_size 300; proxy_pass {openim}/; }}
    location /dead/ {{ proxy_pass http://127.0.0.1:1/; }}
    location /login/ {{ default_type text/html; return 200 "<html>Sign in</html>"; }}
    location /moved/ {{ return 301 https://$host:{https}/api/$is_args; }}
    location /secure/ {{ rewrite ^/secure/(.*) https://$host:{https}/api/$1 permanent; }}
  }}
  server {{
    listen {https} ssl;
    location /api/ {{ proxy_pass {openim}/; }}
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class _Nginx:
    """A running nginx before a double."""

    http: str
    https: str
    authority: Path
    double: DoubleProcess


def _certificate(directory: Path) -> None:
    """A throw-away authority, and a certificate of it for the loopback address."""
    ca = ["-x509", "-subj", "/CN=throw-away authority", "-keyout", "ca.key", "-out", "ca.pem"]
    server = ["-subj", "/CN=openim", "-keyout", "server.key", "-out", "server.csr"]
    (directory / "names").write_text(f"subjectAltName=IP:{LOOPBACK},DNS:localhost\n")
    sign = ["-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
    for arguments in (
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *ca],
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *server],
        ["x509", *sign, "-out", "server.pem"],
    ):
        subprocess.run([str(OPENSSL), *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Nginx]:
    """nginx with its configuration, before a double with users."""
    directory = tmp_path_factory.mktemp("nginx")
    _certificate(directory)
    http, https = claim_port(), claim_port()
    with running_double(directory / "openim.log") as double:
        text = CONFIGURATION.format(directory=directory, http=http, https=https, openim=double.api_url)
        (directory / "nginx.conf").write_text(text)
        command = [
            str(NGINX),
            "-e",
            str(directory / "error.log"),
            "-p",
            str(directory),
            "-c",
            str(directory / "nginx.conf"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(f"http://{LOOPBACK}:{http}/login/", process, directory)
            _register(double)
            yield _Nginx(
                http=f"http://{LOOPBACK}:{http}",
                https=f"https://{LOOPBACK}:{https}",
                authority=directory / "ca.pem",
                double=double,
            )
        finally:
            process.terminate()
            process.wait(timeout=10)
            release_port(http)
            release_port(https)


def _wait(url: str, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError((directory / "error.log").read_text())


def _register(double: DoubleProcess) -> None:
    with httpx.Client(base_url=double.api_url, trust_env=False, headers={"operationID": "test"}) as client:
        asked = {"secret": double.secret, "userID": double.admin}
        token = client.post("/auth/get_admin_token", json=asked).json()["data"]["token"]
        users = [{"userID": name, "nickname": name, "faceURL": ""} for name in USERS]
        answer = client.post("/user/user_register", json={"users": users}, headers={"token": token})
        assert answer.json()["errCode"] == 0


@asynccontextmanager
async def _client(url: str, nginx: _Nginx, **more: Any) -> AsyncIterator[OpenIMClient]:
    config = {
        "api_url": url,
        "secret": nginx.double.secret,
        "admin_user_id": nginx.double.admin,
        "batch_size": 50,
        **more,
    }
    role = OpenIMRole.model_validate({"i_know_this_demotes_other_tokens": True, "operation_timeout_s": 10, **config})
    client = OpenIMClient("openim", role, StoreBudget())
    try:
        yield client
    finally:
        await client.close()


async def _registered(client: OpenIMClient, ids: Sequence[str]) -> int:
    await client.connect()
    return len(await OpenIMSource(client, "openim.accounts", ("user_id",)).lookup("user_id", ids))


@pytest.mark.parametrize("end", ["/api", "/api/"])
async def test_a_path_prefix(nginx: _Nginx, end: str) -> None:
    """The documented form `https://im.example.com/api`, with gzip on; META-01's log shows the requests with the path."""
    async with _client(nginx.http + end, nginx) as client:
        assert await _registered(client, [*USERS, "nobody"]) == len(USERS)
        assert client.statement_log.reads["POST /api/user/account_check"] == 2 + 3
        assert client.statement_log.lines["POST /api/user/account_check"].answers == 2 + 3


async def test_without_its_prefix_the_route_is_closed(nginx: _Nginx) -> None:
    """The sentence says where the path belongs."""
    async with _client(nginx.http, nginx) as client:
        with pytest.raises(RouteClosed, match="write the path into api_url"):
            await client.connect()


async def test_a_rate_limit_is_waited_out(nginx: _Nginx) -> None:
    """429 with Retry-After: every id is answered in the end."""
    async with _client(f"{nginx.http}/limited", nginx, batch_size=60) as client:
        assert await _registered(client, USERS) == len(USERS)
        assert client.statement_log.backed_off > 0


async def test_a_limit_on_the_size_of_requests(nginx: _Nginx) -> None:
    """413: batches become smaller."""
    async with _client(f"{nginx.http}/small", nginx) as client:
        assert await _registered(client, USERS) == len(USERS)
        assert client.batch_size < 50


async def test_a_dead_openim(nginx: _Nginx) -> None:
    """502 with nginx's page, after some attempts."""
    async with _client(f"{nginx.http}/dead", nginx) as client:
        with pytest.raises(StoreError, match=r"a proxy in front answered .* with HTTP 502 and HTML"):
            await client.connect()
        assert client.statement_log.total == 4
        with pytest.raises(StoreError):
            await client.connect()
        assert client.statement_log.total == 5  # the next request is sent once


async def test_a_login_page(nginx: _Nginx) -> None:
    """HTML with status 200 is no answer."""
    async with _client(f"{nginx.http}/login", nginx) as client:
        with pytest.raises(StoreError, match="HTTP 200 and HTML instead of OpenIM's envelope"):
            await client.connect()


async def test_a_redirect_to_https_names_the_url_for_the_profile(nginx: _Nginx) -> None:
    """It is not followed, and with the URL that the sentence gives everything works."""
    async with _client(f"{nginx.http}/secure", nginx) as client:
        with pytest.raises(StoreError) as caught:
            await client.connect()
        assert client.statement_log.total == 1
    assert f"Set roles.openim.api_url = '{nginx.https}/api'" in str(caught.value)
    async with _client(f"{nginx.https}/api", nginx, tls_ca_file=str(nginx.authority)) as client:
        assert await _registered(client, USERS[:3]) == 3


async def test_an_authority_that_is_not_trusted(nginx: _Nginx) -> None:
    """The sentence names the setting."""
    async with _client(f"{nginx.https}/api", nginx) as client:
        with pytest.raises(Unreachable, match=r"Set roles\.openim\.tls_ca_file"):
            await client.connect()


async def test_plain_http_to_the_tls_port(nginx: _Nginx) -> None:
    """nginx answers 400 with HTML."""
    async with _client(nginx.https.replace("https:", "http:") + "/api", nginx) as client:
        with pytest.raises(StoreError, match="HTTP 400 and HTML"):
            await client.connect()
