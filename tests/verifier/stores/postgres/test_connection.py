"""TLS with an authority and client certificates of its own, and unix sockets."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from fixtures.processes.deadline import Deadline
from fixtures.services.pgbouncer import PgBouncer, program
from fixtures.stack.stack import Stack
from tests.verifier.stores.postgres.test_client import opened
from tests.verifier.stores.postgres.world import PostgresWorld, members, open_postgres_world
from verifier.model.query import Rows
from verifier.profile.roles import PostgresRole
from verifier.stores.errors import Denied, Unreachable
from verifier.stores.postgres.store import PostgresStore

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(program() is None, reason="PgBouncer is not installed (Debian package pgbouncer)"),
]
SECONDS = 60
OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A throw-away authority, and certificates of the server, of a client and of a client of another authority."""
    if OPENSSL is None:
        pytest.skip("openssl is not installed (Debian package openssl)")
    place = tmp_path_factory.mktemp("tls")

    def run(*arguments: str) -> None:
        subprocess.run([str(OPENSSL), *arguments], cwd=place, check=True, capture_output=True, timeout=60)

    for authority in ("ca", "other"):
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-days", "2", "-subj", f"/CN={authority}")  # fmt: skip
    (place / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, subject, authority in (("server", "localhost", "ca"), ("client", "secure_verifier", "ca"), ("stranger", "secure_verifier", "other")):  # fmt: skip
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")  # fmt: skip
        run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "san")  # fmt: skip
    return place


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    """A directory with a short name, as the addresses of unix sockets are short."""
    place = Path(tempfile.mkdtemp(prefix="pooler"))
    place.chmod(0o777)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def secure(stack: Stack, certificates: Path, sockets: Path) -> Iterator[tuple[PgBouncer, PostgresWorld]]:
    """A pooler that wants TLS and the client's certificate, and that listens on a unix socket. The embedded PostgreSQL is built
    without TLS."""
    with open_postgres_world(stack.postgres) as world:
        pooler = PgBouncer.start(
            stack.run,
            Deadline(SECONDS),
            [world.grant.verifier_chat_db],
            settings={"client_tls_sslmode": "verify-ca", "unix_socket_dir": str(sockets)},
            files={
                "client_tls_ca_file": certificates / "ca.pem",
                "client_tls_cert_file": certificates / "server.pem",
                "client_tls_key_file": certificates / "server.key",
            },
            probe_over=sockets,
            name="pgbouncer-tls",
        )
        try:
            yield pooler, world
        finally:
            pooler.discard()


def url_of(secure: tuple[PgBouncer, PostgresWorld]) -> str:
    """The verifier's URL through the pooler."""
    pooler, world = secure
    return pooler.url(world.grant.verifier_chat_db)


async def test_a_client_certificate_logs_in(secure: tuple[PgBouncer, PostgresWorld], certificates: Path) -> None:
    """With the authority and the client's certificate of the profile, reading works."""
    role = {
        "url": url_of(secure) + "?sslmode=verify-full",
        "ssl_root_cert": str(certificates / "ca.pem"),
        "ssl_cert": str(certificates / "client.pem"),
        "ssl_key": str(certificates / "client.key"),
    }
    store = PostgresStore("chat_db", PostgresRole.model_validate(role))
    await store.connect()
    try:
        assert len(await store.source(members(), Rows("members")).lookup("id", [10, 20])) == 2
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({"ssl_root_cert": "other.pem"}, "verify-full"),
        ({"ssl_cert": "stranger.pem", "ssl_key": "stranger.key"}, "verify-full"),
        ({"ssl_cert": None, "ssl_key": None}, "verify-full"),
        ({"ssl_root_cert": "missing.pem"}, "verify-full"),
    ],
    ids=["another authority", "a stranger", "no certificate", "no such file"],
)
async def test_a_wrong_certificate_is_a_sentence(
    secure: tuple[PgBouncer, PostgresWorld], certificates: Path, changes: dict[str, str | None], mode: str
) -> None:
    """It names TLS and the settings, and is no traceback."""
    files: dict[str, str | None] = {
        "ssl_root_cert": "ca.pem",
        "ssl_cert": "client.pem",
        "ssl_key": "client.key",
        **changes,
    }
    role = {"url": f"{url_of(secure)}?sslmode={mode}"}
    role |= {name: str(certificates / file) for name, file in files.items() if file is not None}
    store = PostgresStore("chat_db", PostgresRole.model_validate(role))
    with pytest.raises((Denied, Unreachable), match=r"chat_db \(PostgreSQL\).*(certificate|TLS)") as refused:
        await store.connect()
    assert "ssl_root_cert" in str(refused.value)
    await store.close()


async def test_a_unix_socket(secure: tuple[PgBouncer, PostgresWorld], sockets: Path) -> None:
    """A directory as host, in the forms that libpq allows."""
    parts = urlsplit(url_of(secure))
    login, port = parts.netloc.rpartition("@")[0], parts.port
    for netloc, query in (
        (f"{login}@{quote(str(sockets), safe='')}:{port}", ""),
        (f"{login}@", f"host={sockets}&port={port}"),
    ):
        async with opened(parts._replace(netloc=netloc, query=query).geturl()) as store:
            await store.clock()
