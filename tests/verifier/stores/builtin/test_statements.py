"""Relation `verifier.statements`."""

from __future__ import annotations

import pytest

from verifier.profile.budgets import StoreBudget
from verifier.stores.builtin.statements import EarlierRuns, StatementsSource, over_budget
from verifier.stores.statement_log import StatementLog

pytestmark = pytest.mark.anyio


def test_an_exceeded_budget_is_reported() -> None:
    """META-01 judges by the statement log, independently of the budget's own code."""
    assert "9 statements at once, 4 are allowed" in over_budget(StatementLog(in_flight_max=9), StoreBudget(), 1)
    text = over_budget(StatementLog(paced=2000), StoreBudget(statements_per_s=100), 2)
    assert text == "2000 statements in 2.0 s, 100 a second are allowed"


@pytest.mark.parametrize(
    ("role", "statement", "writes"),
    [
        ("cache_redis", "CLUSTER NODES", False),
        ("cache_redis", "CLUSTER INFO", False),
        ("cache_redis", "CLUSTER FAILOVER", True),
        ("cache_redis", "HSET", True),
        ("chat_db", "CLUSTER nodes", True),
        ("chat_db", "SELECT 1", False),
    ],
)
async def test_a_word_of_one_store_is_not_judged_as_that_of_another(role: str, statement: str, writes: bool) -> None:
    """`CLUSTER` rewrites a table in PostgreSQL, and `CLUSTER NODES` reads the layout of Redis."""
    log = StatementLog()
    log.note(statement)
    source = StatementsSource(lambda: {role: log}, lambda _: StoreBudget(), 0, EarlierRuns(), "cache_redis".__eq__)
    (row,) = await source.lookup("role", [role])
    assert row["writes"] == ((statement,) if writes else ())
