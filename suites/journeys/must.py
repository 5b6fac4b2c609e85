"""Assertions on matchers. Waiting polls until a deadline, and the last error is reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from suites.journeys.match import Matcher, every_of

Value = TypeVar("Value")

DEADLINE_S = 10.0
POLL_S = 0.1


def match(value: Value, *matchers: Matcher, what: str = "value") -> Value:
    """The value, if all matchers are satisfied. Raises AssertionError with the first error."""
    error = every_of(*matchers)(value)
    if error is not None:
        raise AssertionError(f"{what}: {error}")
    return value


async def eventually(
    poll: Callable[[], Awaitable[Value]], *matchers: Matcher, what: str, deadline_s: float = DEADLINE_S
) -> Value:
    """Poll until all matchers are satisfied. Returns the value. Raises AssertionError at the deadline.

    An exception counts as an attempt without success: the server may still be starting.
    """
    until_s = time.monotonic() + deadline_s
    while True:
        # An attempt that hangs must not outlive the deadline.
        left_s = max(until_s - time.monotonic(), POLL_S)
        try:
            value = await asyncio.wait_for(poll(), left_s)
        except Exception as failure:
            error: str | None = f"the attempt failed with {type(failure).__name__}: {failure}"
        else:
            error = every_of(*matchers)(value)
            if error is None:
                return value
        if time.monotonic() >= until_s:
            raise AssertionError(f"{what}: not within {deadline_s:g} s. The last attempt: {error}")
        await asyncio.sleep(POLL_S)


async def remain(poll: Callable[[], Awaitable[Value]], *matchers: Matcher, what: str, for_s: float) -> Value:
    """All matchers are satisfied at every poll for `for_s` seconds. Raises AssertionError at the first that is not."""
    until_s = time.monotonic() + for_s
    started_s = time.monotonic()
    while True:
        value = await poll()
        error = every_of(*matchers)(value)
        if error is not None:
            raise AssertionError(f"{what}: changed after {time.monotonic() - started_s:.1f} s: {error}")
        if time.monotonic() >= until_s:
            return value
        await asyncio.sleep(POLL_S)
