"""The lock that allows one run per stack at a time.

It is a file lock or a PostgreSQL advisory lock, so it is released when its process ends, however it ends. The table
`verifier_locks` only records who holds it; its token stops a run that has lost the lock from writing.
"""

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

from verifier.history.database import Database, readable_errors
from verifier.history.errors import HistoryBusy, HistoryError, LockLost
from verifier.history.tables import LOCKS

ACQUIRE_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds, or held, a lock."""

    token: str
    pid: int
    host: str
    since: datetime

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


class StackLock:
    """The lock of one stack in one history database."""

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
        """Hold the lock; yields the previous holder if it ended without releasing it. Raises HistoryBusy."""
        with self._acquire():
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
                # The operating system or the server releases the lock anyway; an error here must not hide the original one.
                with suppress(HistoryError), self._database.write() as connection:
                    connection.execute(delete(LOCKS).where(LOCKS.c.stack == self._stack, LOCKS.c.token == token))

    def assert_held(self, connection: Connection) -> None:
        """Raise HistoryError if this object does not hold the lock, LockLost if another run has taken it."""
        if self._token is None:
            raise HistoryError("Recording a run needs the lock of its stack: use `with history.lock():`.")
        found = connection.execute(select(LOCKS.c.token).where(LOCKS.c.stack == self._stack)).scalar()
        if found != self._token:
            raise LockLost(
                f"Another run of {self._stack} took the lock of this history; this run records nothing more. "
                "Let one run finish before the next one starts, and do not delete the .lock file beside the history."
            )

    def is_free(self) -> bool:
        """Whether no process holds the lock at this moment."""
        if self.held:
            return False
        try:
            with self._exclusion()():
                return True
        except HistoryBusy:
            return False

    @contextmanager
    def _acquire(self) -> Iterator[None]:
        # `is_free` holds the lock for an instant: retry, so that listing the history does not make a run fail.
        for attempt in Retrying(
            retry=retry_if_exception_type(HistoryBusy),
            stop=stop_after_delay(ACQUIRE_TIMEOUT_S),
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
            f"Another run of {self._stack} is in progress ({holder or 'just started'}). "
            "Wait for it to end, or end it; the lock is released as soon as the process has ended."
        )

    def _exclusion(self) -> Callable[[], AbstractContextManager[None]]:
        if self._database.path:
            return self._file_lock
        if self._database.engine.dialect.name == "postgresql":
            return self._advisory_lock
        return self._memory_lock

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        # One file per stack, beside the database. It is never removed: removing it while a process waits would admit two.
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
        # Bound to this connection, which must be direct and not through a transaction-pooling PgBouncer.
        key = int.from_bytes(hashlib.sha256(f"verifier:{self._stack}".encode()).digest()[:8], signed=True)
        with readable_errors(self._database.name):
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            with readable_errors(self._database.name):
                free = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar()
            if not free:
                raise self._busy()
            yield
        finally:
            # The lock is released when the connection is closed; returning it to the pool would keep the lock.
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
