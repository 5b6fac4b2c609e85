"""`[budgets]`: how much the verifier may ask of each store."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StoreBudget(BaseModel):
    """`[budgets.ROLE]`: what may be asked of one store. Without it the defaults hold: a small part of what any server can do.

    Keys are roles, such as `user_db`. A Redis pipeline counts as one statement, and each of its keys as one row. Two roles on one
    server have a budget each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_concurrency: int = Field(default=4, ge=1, description="statements in flight at once")
    statements_per_s: float = Field(default=200, gt=0, description="statements, commands or requests a second")
    rows_per_s: float = Field(default=50_000, gt=0, description="rows read a second")
    statement_timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="after which the server gives a statement up; the role's operation_timeout_s where not set",
    )
    lock_timeout_s: float = Field(default=2, gt=0, description="how long a PostgreSQL statement waits for a lock")
    chunk_target_s: float = Field(
        default=0.5, gt=0, description="how long reading one chunk should take: chunks grow and shrink towards it"
    )
    chunk_rows_min: int = Field(default=50, ge=1, description="below which a chunk does not shrink")
    slow_factor: float = Field(
        default=8,
        gt=1,
        description="how many times its usual time an answer may take before the store is left alone for a while",
    )
