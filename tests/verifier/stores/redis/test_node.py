"""Connections: unix sockets, TLS with an authority and a client certificate of one's own, users with few rights."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from fixtures.processes.deadline import Deadline
from fixtures.processes.ports import LOOPBACK
from fixtures.processes.process import Command, OwnedProcess
from fixtures.processes.rundir import RunDir
from fixtures.services.redis import server_program
from tests.verifier.stores.redis.reading import connected, read, source_of
from tests.verifier.stores.redis.world import RedisWorld
from verifier.stores.errors import Denied, StoreError, Unreachable

pytestmark = [pytest.mark.long, pytest.mark.anyio]

PASSWORD = "p#a/s?s@w%rd:x"  # noqa: S105 - of a server that lives for this module


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDir]:
    """A run directory for the servers of this module."""
    found = RunDir.claim(tmp_path_factory.mktemp("node"))
    yield found
    found.close()
    found.release()


def _ping(probe: redis.Redis) -> None:
    probe.ping()


def start(run: RunDir, name: str, program: str, settings: list[str], probe: redis.Redis) -> OwnedProcess:
    """Start a server, and wait until it answers."""
    home = run.data(name)
    config = home / "redis.conf"
    config.write_text("\n".join([f"dir {home}", 'save ""', "loglevel warning", *settings]) + "\n")
    process = OwnedProcess(Command(name=name, argv=[program, str(config)], cwd=home), run)
    process.start()
    process.wait_ready(partial(_ping, probe), Deadline(20))
    return process


@pytest.fixture(scope="module")
def socket_path(run: RunDir) -> Iterator[Path]:
    """A server that listens on a unix socket alone, and whose password has special characters."""
    path = run.data("socket") / "redis.sock"
    settings = ["port 0", f"unixsocket {path}", f'requirepass "{PASSWORD}"']
    probe = redis.Redis(unix_socket_path=str(path), password=PASSWORD)
    process = start(run, "unix", str(server_program()), settings, probe)
    probe.set("im:token:u", "1")
    probe.close()
    yield path
    process.stop()


async def test_a_unix_socket(socket_path: Path) -> None:
    """With its password as it is."""
    async with connected(f"unix://:{PASSWORD}@{socket_path}?db=0") as store:
        found, said = await read(source_of(store, "token"))
    assert (found, said.hidden) == (["u"], ())


@pytest.mark.parametrize(
    "url",
    [
        "unix://:wrong{password}@{path}",
        "unix://:{password}@{path}x",
        "redis://:{password}@127.0.0.1:1",
        "redis://:{password}@{path}:x",
    ],
)
async def test_errors_have_no_password(socket_path: Path, url: str) -> None:
    """Nor a part of it, whatever fails."""
    with pytest.raises(StoreError) as raised:
        async with connected(url.format(password=PASSWORD, path=socket_path)):
            pass
    assert not any(part in str(raised.value) for part in (PASSWORD, "p#a", "s@w", "w%rd"))


async def test_without_a_password_it_is_denied(socket_path: Path) -> None:
    """With the next step."""
    with pytest.raises(Denied, match="password"):
        async with connected(f"unix://{socket_path}"):
            pass


class Certificates:
    """A throw-away authority, and certificates of a server and a client."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority")  # fmt: skip
        for name, subject in (("server", "/CN=localhost"), ("client", "/CN=verifier")):
            self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)  # fmt: skip
            (home / "names").write_text("subjectAltName=DNS:localhost\n")
            self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "names")  # fmt: skip

    def _openssl(self, *words: str) -> None:
        program = shutil.which("openssl") or "openssl"
        subprocess.run([program, *words], cwd=self.home, check=True, capture_output=True)

    def __getitem__(self, name: str) -> str:
        return str(self.home / name)


@pytest.fixture(scope="module")
def tls(run: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Certificates]]:
    """The port of a server that asks its clients for a certificate."""
    program = shutil.which("redis-server")
    if program is None or shutil.which("openssl") is None:
        pytest.skip("needs redis-server and openssl from Debian: the embedded server is built without TLS")
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    port = run.claim_port()
    settings = [
        "port 0",
        f"bind {LOOPBACK}",
        f"tls-port {port}",
        f"tls-cert-file {certificates['server.pem']}",
        f"tls-key-file {certificates['server.key']}",
        f"tls-ca-cert-file {certificates['ca.pem']}",
    ]
    probe = redis.Redis(
        host="localhost",
        port=port,
        ssl=True,
        ssl_ca_certs=certificates["ca.pem"],
        ssl_certfile=certificates["client.pem"],
        ssl_keyfile=certificates["client.key"],
    )
    process = start(run, "tls", program, settings, probe)
    probe.set("im:token:u", "1")
    probe.close()
    yield port, certificates
    process.stop()


async def test_tls_with_a_client_certificate(tls: tuple[int, Certificates]) -> None:
    """The authority is checked, and the client shows its certificate."""
    port, certificates = tls
    own = {"tls_certificate_file": certificates["client.pem"], "tls_key_file": certificates["client.key"]}
    async with connected(f"rediss://localhost:{port}", tls_ca_file=certificates["ca.pem"], **own) as store:
        found, _ = await read(source_of(store, "token"))
        assert (await store.version()).startswith("Redis")
    bare = f"rediss://{LOOPBACK}:{port}"
    async with connected(bare, tls_ca_file=certificates["ca.pem"], tls_check_hostname=False, **own) as store:
        assert (await read(source_of(store)))[0] == found == ["u"]
    for url, settings in (
        (f"rediss://localhost:{port}", own),  # the authority is not known
        (f"rediss://localhost:{port}", {"tls_ca_file": certificates["ca.pem"]}),  # no client certificate
        (bare, {"tls_ca_file": certificates["ca.pem"], **own}),  # the certificate does not name the address
        (f"redis://localhost:{port}", {}),  # not TLS at all
    ):
        with pytest.raises(Unreachable):
            async with connected(url, **settings):
                pass


async def test_a_user_with_few_rights_connects(redis_world: RedisWorld) -> None:
    """CLIENT, HELLO, CONFIG, INFO and SELECT may all be refused."""
    async with redis_world.client() as admin:
        await admin.execute_command(
            "ACL", "SETUSER", "few", "reset", "on", ">few", "~*", "+scan", "+type", "+pttl", "+get", "+ping", "+time"
        )
        place = redis_world.grant.verifier.rpartition("@")[2].partition("/")[0]
        async with connected(f"redis://few:few@{place}") as store:
            found, said = await read(source_of(store, "token"))
            assert not store.no_touch
            assert [item.state for item in await store.privileges()] == ["unknown"]
        await admin.execute_command("ACL", "DELUSER", "few")
    assert said.hidden == ()
    assert found == []
    assert any("INFO and ROLE" in text for text in said.unseen)
