"""The tables of the history.

Free text is stored in JSON columns, which accept any character that a stack may hold (NUL, lone surrogates). Values that
queries select or sort by have columns of their own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, Dialect, Index, Integer, MetaData, String, Table, TypeDecorator

SCHEMA_VERSION = 2


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as UTC text of fixed width, so that it sorts correctly in every database."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Convert to text."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Convert from text."""
        return None if value is None else datetime.fromisoformat(value)


METADATA = MetaData()

# The prefix keeps a PostgreSQL database shareable with other tools.
META = Table(
    "verifier_meta",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", String, nullable=False),
)

LOCKS = Table(
    "verifier_locks",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("token", String(32), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("host", String, nullable=False),
    Column("since", Instant, nullable=False),
)

RUNS = Table(
    "verifier_runs",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("phase", String, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("notes", JSON, nullable=False, default=list),
    Column("reads", JSON, nullable=False, default=dict),
    Index("verifier_runs_by_time", "stack", "started_at"),
)

OUTCOMES = Table(
    "verifier_outcomes",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("check_id", String, primary_key=True),
    Column("verdict", String(16), nullable=False),
    Column("position", Integer, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Column("document", JSON, nullable=False),
)

FINDINGS = Table(
    "verifier_findings",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    Column("check_id", String, nullable=False),
    Column("state", String(16), nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("healed_at", Instant),
    Column("times_seen", Integer, nullable=False),
    Column("last_run_id", String, nullable=False),
    Column("raw_key", JSON, nullable=False),
    Column("document", JSON, nullable=False),
    Index("verifier_findings_by_check", "stack", "check_id", "state"),
)

WATERMARKS = Table(
    "verifier_watermarks",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("check_id", String, primary_key=True),
    Column("slot", String, primary_key=True),
    Column("taken_at", Instant, nullable=False),
    Column("value", JSON, nullable=False),
)

POSITIONS = Table(
    "verifier_horizons",  # the name that positions had when the schema was made; the stored format keeps it
    METADATA,
    Column("stack", String, primary_key=True),
    Column("slot", String, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("value", String, nullable=False),
)

RUN_PLANS = Table(
    "verifier_run_plans",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("plan", JSON, nullable=False),
    Column("resumed", Integer, nullable=False, default=0),
)

CHECKPOINTS = Table(
    "verifier_checkpoints",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("check_id", String, primary_key=True),
    Column("slot", String, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("value", JSON, nullable=False),
)

ACCEPTED = Table(
    "verifier_accepted",
    METADATA,
    Column("stack", String, primary_key=True),
    Column("check_id", String, primary_key=True),
    Column("at", Instant, nullable=False),
)
