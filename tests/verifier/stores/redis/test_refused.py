"""Commands that the budget refuses before they are sent."""

from __future__ import annotations

import inspect

import pytest
from pydantic import SecretStr

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import RedisRole
from verifier.stores.budget import Budget, NoAnswer
from verifier.stores.redis.address import Address
from verifier.stores.redis.node import Node, Wiring
from verifier.stores.statement_log import StatementLog

pytestmark = pytest.mark.anyio


async def test_a_refused_command_is_closed() -> None:
    """Otherwise Python warns on standard error, for each command, that it was never awaited."""
    log = StatementLog()
    budget = Budget(StoreBudget(), timeout_s=1, store="cache_redis (Redis)", statement_log=log)
    budget.leave_out()
    role = RedisRole(url=SecretStr("redis://127.0.0.1:1"))
    wiring = Wiring(
        role="cache_redis",
        config=role,
        budget=budget,
        statement_log=log,
        user=None,
        password=None,
        tls=False,
        index=0,
    )
    node = Node(wiring, Address("127.0.0.1", 1))

    async def ping() -> bool:
        return True

    command = ping()
    with pytest.raises(NoAnswer, match="left out"):
        await node.run("PING", command)
    assert inspect.getcoroutinestate(command) == inspect.CORO_CLOSED
