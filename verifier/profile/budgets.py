"""`[budgets]`: how much the verifier may ask of each store."""

from __future__ import annotations

from pydantic import Field

from verifier.profile.section import Section


class StoreBudget(Section):
    """`[budgets.ROLE]`: the load that the verifier may put on one store. The defaults are a small part of what any server can do.

    The name is that of a role, such as `user_db`. A Redis pipeline counts as one statement, and each of its keys as one row.
    Two roles on one server have a budget each. META-01 judges whether the budgets were kept.
    """

    max_concurrency: int = Field(default=4, ge=1, description="Statements in progress at once", examples=[2])
    statements_per_s: float = Field(default=200, gt=0, description="Statements, commands or requests", examples=[50])
    rows_per_s: float = Field(default=50_000, gt=0, description="Rows that are read", examples=[10_000])
    statement_timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="After this time the server cancels a statement. The role's `operation_timeout_s` if not set",
        examples=[10],
    )
    lock_timeout_s: float = Field(
        default=2, gt=0, description="How long a PostgreSQL statement waits for a lock", examples=[0.5]
    )
    chunk_target_s: float = Field(
        default=0.5,
        gt=0,
        description="How long reading one chunk should take. Chunks become larger or smaller to reach it",
        examples=[0.2],
    )
    chunk_rows_min: int = Field(default=50, ge=1, description="Smallest size of a chunk", examples=[10])
    slow_factor: float = Field(
        default=8,
        gt=1,
        description="If an answer takes this many times as long as usual, the verifier pauses before it asks the store again",
        examples=[4],
        json_schema_extra={"unit": "times"},
    )
