"""A new database on the embedded PostgreSQL, with an owner who writes and a store that reads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from pydantic import SecretStr

from fixtures.services.postgres import Postgres, PostgresGrant
from tests.verifier.stores.nights import Nights
from verifier.profile.relations import Relation
from verifier.profile.roles import PostgresRole
from verifier.proofs.absence.proof import Absence
from verifier.stores.postgres.observer import PostgresObserver
from verifier.stores.postgres.store import PostgresStore

SCHEMA = """
CREATE TABLE members (id bigint PRIMARY KEY, group_id text, role int, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO members SELECT n * 10, 'moved', 0, '2025-06-01' FROM generate_series(1, 40) AS n;
"""
INSERT = "INSERT INTO members (id, group_id, created_at) VALUES "
FLUSH_S = 0.3
"""The writers of these tests end their sessions and so report their counts at once; an open session takes 10 s."""

_names = count(1)


def members(**changes: Any) -> Relation:
    """The table as a relation of the profile."""
    names = ("id", "group_id", "role", "created_at")
    columns: dict[str, Any] = {name: name for name in names}
    columns["created_at"] = {"column": "created_at", "type": "timestamp"}
    base = {"role": "chat_db", "table": "public.members", "key": "id", "columns": columns}
    return Relation.model_validate({**base, **changes})


@dataclass
class PostgresWorld:
    """One database."""

    grant: PostgresGrant

    def write(self, *statements: str, admin: bool = False) -> None:
        """One session of the owner (or the superuser), each statement a transaction. Its counts are reported when this
        returns."""
        url = self.grant.admin_chat_db if admin else self.grant.chat_db
        with psycopg.connect(url, autocommit=True) as connection:
            pid = connection.info.backend_pid
            for statement in statements:
                connection.execute(statement)
        self.await_end_of(pid)

    def await_end_of(self, pid: int) -> None:
        """Wait until a session has ended; it reports its counts before that."""
        with psycopg.connect(self.grant.admin_user_db, autocommit=True) as connection:
            deadline = time.monotonic() + 5
            while connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
                assert time.monotonic() < deadline, "the session does not end"
                time.sleep(0.01)

    @contextlib.asynccontextmanager
    async def store(self, url: str | None = None) -> AsyncIterator[PostgresStore]:
        """A connected store with the verifier's credential."""
        role = PostgresRole(url=SecretStr(url or self.grant.verifier_chat_db))
        store = PostgresStore("chat_db", role)
        await store.connect()
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def nights(
        self,
        *,
        relation: Relation | None = None,
        operations: frozenset[str] = frozenset({"insert"}),
        neighbours: frozenset[str] = frozenset(),
        inserted_at: str | None = None,
        state: str | None = None,
        url: str | None = None,
        flush_s: float = FLUSH_S,
        baselined: bool = True,
    ) -> AsyncIterator[Nights]:
        """An absence proof over the table, its baseline taken."""
        target = relation or members()
        async with self.store(url) as store:
            proof = Absence(
                target="members",
                operations=operations,
                scoped_by=("group", "group_id"),
                inserted_at=inserted_at,
                state=state,
            )
            observer = PostgresObserver(store, target, proof.columns, flush_s=flush_s)
            nights = Nights(proof=proof, observer=observer, target=target, store=store, neighbours=neighbours)
            if baselined:
                await nights.baseline()
            yield nights


@contextlib.contextmanager
def open_postgres_world(server: Postgres) -> Iterator[PostgresWorld]:
    """A new database with 40 members, dropped at the end."""
    name = f"absence_{next(_names)}"
    world = PostgresWorld(server.open_world(name))
    world.write(SCHEMA)
    try:
        yield world
    finally:
        server.close_world(name)
