"""Bringing an older history up to date: step by step, all of it in one transaction, nothing that was remembered is lost.

An older verifier refuses the result (it says so): keep a copy of the file where a way back is wanted.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select, text, update

from verifier.history.tables import ACCEPTED, CHECKPOINTS, META, METADATA, RUN_PLANS, SCHEMA_VERSION

Step = Callable[[Connection], None]


def _checkpoints_and_accepted_checks(connection: Connection) -> None:
    """1 -> 2: resuming a run, and which checks a stack has accepted."""
    METADATA.create_all(connection, tables=[RUN_PLANS, CHECKPOINTS, ACCEPTED])


MIGRATIONS: dict[int, Step] = {1: _checkpoints_and_accepted_checks}
"""By the version that a step starts from."""


def migrate(connection: Connection) -> int:
    """Run every step that is due, within the caller's transaction; returns the version that is reached."""
    only_one(connection)
    version = int(connection.execute(select(META.c.value).where(META.c.name == "schema_version")).scalar_one())
    while version < SCHEMA_VERSION and version in MIGRATIONS:
        MIGRATIONS[version](connection)
        version += 1
    connection.execute(update(META).where(META.c.name == "schema_version").values(value=str(version)))
    return version


def only_one(connection: Connection) -> None:
    """Two processes may change the schema at the same moment; SQLite's write lock is held already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('verifier_meta'))"))
