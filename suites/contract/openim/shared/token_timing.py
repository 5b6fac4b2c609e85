"""When tokens are issued: those that OpenIM issues to one user and platform within a second are identical [F26]."""

from __future__ import annotations

from suites.contract.openim.shared.target import Clock

BETWEEN_ISSUES_S = 1.1
"""Tokens that must differ are issued at least this long after each other."""
_LATEST_IN_SECOND = 0.3


async def wait_for_new_second(clock: Clock) -> None:
    """Wait until a second has just begun, so that the next tokens are issued within the same second."""
    into_second = clock.now_s() % 1
    if into_second > _LATEST_IN_SECOND:
        await clock.sleep(BETWEEN_ISSUES_S - into_second)
