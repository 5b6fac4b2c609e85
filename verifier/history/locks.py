"""One run per stack. The lock itself is the kernel's or PostgreSQL's, so it dies with its process whatever happens; the table
beside it only says who holds it, and its token fences off a run whose lock was lost."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, text
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from verifier.history.database import Database, explained
from verifier.history.errors import HistoryBusy, HistoryError, LockLost
from verifier.history.tables import LOCKS

PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds, or held, a lock."""

    token: str
    pid: int
    host: str
    since: datetime

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


class StackLock:
    """The lock of one stack in one history."""

    def __init__(self, database: Database, stack: str) -> None:
        self._database = database
        self._stack = stack
        self._in_memory = threading.Lock()
        self._token: str | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._token is not None

    @contextmanager
    def hold(self) -> Iterator[Holder | None]:
        """Hold it; yields the dead run's holder whose lock was taken over, if any. Raises HistoryBusy."""
        with self._patiently():
            left_behind = self._holder()
            token = secrets.token_hex(16)
            with self._database.write() as connection:
                connection.execute(delete(LOCKS).where(LOCKS.c.stack == self._stack))
                connection.execute(
                    insert(LOCKS).values(
                        stack=self._stack,
                        token=token,
                        pid=os.getpid(),
                        host=socket.gethostname(),
                        since=datetime.now(UTC),
                    )
                )
            self._token = token
            try:
                yield left_behind
            finally:
                self._token = None
                # The kernel or the server frees the lock in any case; a full disk must not hide what went wrong before.
                with suppress(HistoryError), self._database.write() as connection:
                    connection.execute(delete(LOCKS).where(LOCKS.c.stack == self._stack, LOCKS.c.token == token))

    def assert_held(self, connection: Connection) -> None:
        """Refuse to write for a run that holds no lock, or no longer."""
        if self._token is None:
            raise HistoryError("A run is recorded under its stack's lock: use `with history.lock():` around it.")
        found = connection.execute(select(LOCKS.c.token).where(LOCKS.c.stack == self._stack)).scalar()
        if found != self._token:
            raise LockLost(
                f"Another run of {self._stack} took the lock of this history over; this one records nothing more. "
                "Let one finish before the next, and leave the .lock file beside the history alone."
            )

    def is_free(self) -> bool:
        """Whether nobody holds it at this moment."""
        if self.held:
            return False
        try:
            with self._exclusion()():
                return True
        except HistoryBusy:
            return False

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        # `is_free` holds the lock for an instant, and a look at the history must not turn the nightly run away.
        for attempt in Retrying(
            retry=retry_if_exception_type(HistoryBusy),
            stop=stop_after_delay(PATIENCE_S),
            wait=wait_fixed(0.05),
            reraise=True,
        ):
            with attempt:
                exclusion = self._exclusion()()
                exclusion.__enter__()
        with ExitStack() as stack:
            stack.push(exclusion)
            yield

    def _holder(self) -> Holder | None:
        with self._database.read() as connection:
            row = connection.execute(select(LOCKS).where(LOCKS.c.stack == self._stack)).one_or_none()
        return Holder(row.token, row.pid, row.host, row.since) if row else None

    def _busy(self) -> HistoryBusy:
        holder = self._holder()
        return HistoryBusy(
            f"Another run of {self._stack} is under way ({holder or 'just started'}). "
            "Wait until it has ended, or end it; its lock is free as soon as the process is gone."
        )

    def _exclusion(self) -> Callable[[], AbstractContextManager[None]]:
        if self._database.path:
            return self._file_lock
        if self._database.engine.dialect.name == "postgresql":
            return self._advisory_lock
        return self._memory_lock

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        # Beside the database, one per stack. The file stays: removing it while another process waits on it lets two in.
        beside = self._database.path or Path()
        digest = hashlib.sha256(self._stack.encode()).hexdigest()[:8]
        path = beside.with_name(f"{beside.name}.{digest}.lock")
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HistoryError(
                f"The lock file {path} cannot be opened: {error.strerror}. Give this user write access to its folder."
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._busy() from None
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _advisory_lock(self) -> Iterator[None]:
        # Bound to this one connection, which must reach the server itself and not a transaction-pooling PgBouncer.
        key = int.from_bytes(hashlib.sha256(f"verifier:{self._stack}".encode()).digest()[:8], signed=True)
        with explained(self._database.name):
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            with explained(self._database.name):
                free = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar()
            if not free:
                raise self._busy()
            yield
        finally:
            # Closing the connection for good, not returning it to the pool, is what gives the lock back.
            connection.invalidate()
            connection.close()

    @contextmanager
    def _memory_lock(self) -> Iterator[None]:
        if not self._in_memory.acquire(blocking=False):
            raise self._busy()
        try:
            yield
        finally:
            self._in_memory.release()
