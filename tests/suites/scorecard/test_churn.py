"""A platform in use without breaches has no findings. `python -m suites.scorecard.churn` is the long form."""

from __future__ import annotations

import asyncio

import pytest

from fixtures.stack.stack import Stack
from suites.scorecard.churn import churn

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]


def test_a_used_platform_has_no_findings(stack: Stack) -> None:
    """Sign-ups, logins, deletions, groups, chats and support continue while a frozen platform is judged again and again."""
    with stack.new_world() as world:
        assert asyncio.run(churn(world, "frozen", for_s=4, seed=3)) == []
