"""Relation `verifier.statements`."""

from __future__ import annotations

import pytest

from verifier.profile.budgets import StoreBudget
from verifier.stores.builtin.statements import over_budget
from verifier.stores.statement_log import StatementLog

pytestmark = pytest.mark.anyio


def test_an_exceeded_budget_is_reported() -> None:
    """META-01 judges by the statement log, independently of the budget's own code."""
    assert "9 statements at once, 4 are allowed" in over_budget(StatementLog(in_flight_max=9), StoreBudget(), 1)
    text = over_budget(StatementLog(paced=2000), StoreBudget(statements_per_s=100), 2)
    assert text == "2000 statements in 2.0 s, 100 a second are allowed"
