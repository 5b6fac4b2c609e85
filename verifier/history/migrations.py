"""Schema migrations of the history: all due steps in one transaction, without loss of data.

An older verifier refuses a migrated history. Keep a copy of the file if you may have to go back.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select, text, update

from verifier.history.tables import ACCEPTED, CHECKPOINTS, META, METADATA, RUN_PLANS, SCHEMA_VERSION

Step = Callable[[Connection], None]


def _checkpoints_and_accepted_checks(connection: Connection) -> None:
    """1 -> 2: tables for resuming a run and for accepted checks."""
    METADATA.create_all(connection, tables=[RUN_PLANS, CHECKPOINTS, ACCEPTED])


MIGRATIONS: dict[int, Step] = {1: _checkpoints_and_accepted_checks}
"""The step by the schema version it starts from."""


def migrate(connection: Connection) -> int:
    """Run every due step within the caller's transaction; return the version reached."""
    lock_schema(connection)
    version = int(connection.execute(select(META.c.value).where(META.c.name == "schema_version")).scalar_one())
    while version < SCHEMA_VERSION and version in MIGRATIONS:
        MIGRATIONS[version](connection)
        version += 1
    connection.execute(update(META).where(META.c.name == "schema_version").values(value=str(version)))
    return version


def lock_schema(connection: Connection) -> None:
    """Keep two processes from changing the schema at the same time. On SQLite the write lock does that already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('verifier_meta'))"))
