"""A platform in use without a breach: nobody is accused. `python -m suites.scorecard.churn` is the long form."""

from __future__ import annotations

import asyncio

import pytest

from fixtures.stack.stack import Stack
from suites.scorecard.churn import churn

pytestmark = pytest.mark.timeout(200)


def test_a_living_platform_is_not_accused(stack: Stack) -> None:
    """Sign-ups, logins, deletions, groups, chats and support go on while a frozen platform is judged again and again."""
    with stack.new_world() as world:
        assert asyncio.run(churn(world, "frozen", for_s=4, seed=3)) == []
