"""Opens the history database: SQLite by default, PostgreSQL by URL, in memory for tests. Turns database errors into readable ones."""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from verifier.history.errors import HistoryError
from verifier.history.migrations import MIGRATIONS, lock_schema, migrate
from verifier.history.tables import META, METADATA, SCHEMA_VERSION
from verifier.model.redact import clean

MEMORY = "memory:"
BUSY_TIMEOUT_S = 15
CONNECT_TIMEOUT_S = 10
_SQLITE_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. `path` is its file (None for PostgreSQL and in-memory), `name` its URL or path without a password."""

    engine: Engine
    path: Path | None
    name: str
    hmac_key: bytes
    guard: AbstractContextManager[object]
    """Serialises threads that share one connection (in-memory databases)."""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A read-write transaction: committed as a whole or not at all. Raises HistoryError."""
        with self.guard, readable_errors(self.name), self.engine.connect() as connection:
            connection = connection.execution_options(verifier_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction with one consistent view. Raises HistoryError."""
        with self.guard, readable_errors(self.name), self.engine.begin() as connection:
            yield connection


def open_database(url_or_path: str) -> Database:
    """Open the database, and create it if it does not exist. Raises HistoryError if it cannot be used."""
    url, path = _locate(url_or_path)
    name = str(path) if path else "memory" if url.drivername == "sqlite" else url.render_as_string(hide_password=True)
    if path:
        _prepare_file(path)
    with readable_errors(name):
        memory = path is None and url.drivername == "sqlite"
        engine = _engine(url, memory=memory)
        guard: AbstractContextManager[object] = threading.Lock() if memory else nullcontext()
        try:
            return Database(
                engine=engine, path=path, name=name, hmac_key=_ensure_schema(engine, name, path), guard=guard
            )
        except BaseException:
            engine.dispose()
            raise


def _locate(text: str) -> tuple[URL, Path | None]:
    """The SQLAlchemy URL, and the path for SQLite files."""
    if text in (MEMORY, ":memory:", "sqlite://"):
        return URL.create("sqlite"), None
    if "://" not in text:
        if not text.strip():
            raise HistoryError("The history has no location: give a file path or a postgresql:// URL.")
        return _sqlite(Path(text))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise HistoryError(
            f"The history's URL {clean(text)} cannot be read. The form is postgresql://user:password@host:5432/database; "
            "special characters of the password are percent-encoded, such as %40 for @."
        ) from None
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database:
        return _sqlite(Path(url.database))
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg"), None
    raise HistoryError(
        f"The history cannot be stored in {backend!r}: give a file path (SQLite) or a postgresql:// URL."
    )


def _sqlite(path: Path) -> tuple[URL, Path]:
    path = path.expanduser().absolute()
    return URL.create("sqlite", database=str(path)), path


def _prepare_file(path: Path) -> None:
    """Create the file with mode 0600. Raises HistoryError if the path is something other than a SQLite database."""
    try:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise HistoryError(f"The history {path} is not a file. Give the path of a file, such as {path}/history.db.")
        with path.open("rb") as file:
            head = file.read(len(_SQLITE_MAGIC))
        if head and head != _SQLITE_MAGIC:
            raise HistoryError(
                f"The history {path} is not a SQLite database, and it is not overwritten. "
                "Give another path, or move the file away."
            )
        if mode & 0o007:
            # The file holds raw keys and the fingerprint key. A copy restored from a CI cache is often world-readable.
            path.chmod(stat.S_IMODE(mode) & ~0o007)
    except FileExistsError:
        return  # another process created it at the same moment
    except FileNotFoundError:
        raise HistoryError(
            f"The history {path} cannot be created: its folder does not exist. Run: mkdir -p '{path.parent}'"
        ) from None
    except OSError as error:
        raise HistoryError(
            f"The history {path} cannot be used: {error.strerror}. Give this user access to it, or another path."
        ) from None


def _engine(url: URL, *, memory: bool) -> Engine:
    if url.drivername != "sqlite":
        # pool_pre_ping replaces a connection that a firewall dropped since the last run.
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    options = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    engine = create_engine(url, connect_args=options, **({"poolclass": StaticPool} if memory else {}))

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver would send BEGIN too late; `_begin` below sends it
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later fails at once if another process wrote in between.
        # BEGIN IMMEDIATE takes the write lock first and waits for it.
        writes = connection.get_execution_options().get("verifier_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _ensure_schema(engine: Engine, name: str, path: Path | None) -> bytes:
    """Create or migrate the schema; return the HMAC key of the fingerprints. Raises HistoryError for a newer schema."""
    with engine.begin() as connection:
        meta = _read_meta(connection)
        tables = inspect(connection).get_table_names()
    if meta is None:
        if path and tables:
            raise HistoryError(
                f"The history {name} belongs to another application (it has a table {min(tables)!r}). Give another path."
            )
        if path:
            _switch_to_wal(engine)
        with engine.connect() as connection:
            connection = connection.execution_options(verifier_writes=True)
            with connection.begin():
                meta = _create(connection)
    version = int(meta.get("schema_version", "0"))
    if version in MIGRATIONS and "hmac_key" in meta:
        with engine.connect() as connection:
            connection = connection.execution_options(verifier_writes=True)
            with connection.begin():
                version = migrate(connection)
    if version != SCHEMA_VERSION or "hmac_key" not in meta:
        cause = (
            f"was written by a newer version (schema {version}, this version supports {SCHEMA_VERSION}). Upgrade this installation"
            if version > SCHEMA_VERSION
            else "is damaged: its metadata table is incomplete. Restore a copy"
        )
        raise HistoryError(f"The history {name} {cause}, or give another path.")
    return bytes.fromhex(meta["hmac_key"])


def _read_meta(connection: Connection) -> dict[str, str] | None:
    if not inspect(connection).has_table(META.name):
        return None
    return {row.name: row.value for row in connection.execute(select(META))}


def _switch_to_wal(engine: Engine) -> None:
    # The journal mode is stored in the file, so it is set once, when the file is created. With WAL, readers and the
    # writer do not block each other. If it fails, another process is setting it, or the next statement raises.
    connection = engine.raw_connection()
    try:
        with suppress(sqlite3.OperationalError):
            connection.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _create(connection: Connection) -> dict[str, str]:
    lock_schema(connection)
    meta = _read_meta(connection)
    if meta is not None:
        return meta
    METADATA.create_all(connection)
    meta = {"schema_version": str(SCHEMA_VERSION), "hmac_key": secrets.token_hex(32)}
    connection.execute(insert(META), [{"name": key, "value": value} for key, value in meta.items()])
    return meta


_ADVICE = (
    ("disk is full", "the disk is full", "Free some space; what was judged before this moment is kept"),
    ("disk quota", "the disk quota is used up", "Free some space; what was judged before this moment is kept"),
    ("readonly database", "it is read-only", "Give this user write access to the file and to its folder"),
    ("unable to open", "it cannot be opened", "Give this user access to the file and to its folder"),
    (
        "database is locked",
        "another process has kept it locked",
        f"Find the process that holds it (waited {BUSY_TIMEOUT_S} s)",
    ),
    ("malformed", "the file is damaged", "Restore a copy, or move the file away and take a new baseline"),
    ("not a database", "the file is not a SQLite database", "Give another path, or move the file away"),
    ("disk i/o error", "the disk reports an error", "Check the disk and its mount"),
    ("password authentication failed", "the password was refused", "Check user and password in the URL"),
    ("does not exist", "the database, role or table does not exist", "Create it, or correct the URL"),
    (
        "permission denied",
        "a privilege is missing",
        "Grant CREATE and USAGE on the schema, or create the tables with another role",
    ),
)


@contextmanager
def readable_errors(name: str) -> Iterator[None]:
    """Convert SQLAlchemy errors to HistoryError, with cause and advice."""
    try:
        yield
    except SQLAlchemyError as error:
        raw = str(error.orig) if isinstance(error, DBAPIError) and error.orig else str(error)
        lowered = raw.lower()
        for needle, cause, advice in _ADVICE:
            if needle in lowered:
                raise HistoryError(f"The history {name}: {cause}. {advice}. ({_first_line(raw)})") from error
        raise HistoryError(
            f"The history {name} reported an error: {_first_line(raw)}. "
            "Check that it is reachable and writable, or set `history` in the profile to another one."
        ) from error


def _first_line(text: str) -> str:
    return clean(text.strip().splitlines()[0] if text.strip() else "no details").rstrip(".")
