"""The only thing that fails a test: `must`. Waiting is looking again until a deadline; the last error is what is printed."""

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
    look: Callable[[], Awaitable[Value]], *matchers: Matcher, what: str, deadline_s: float = DEADLINE_S
) -> Value:
    """Look until all matchers are satisfied; returns what was seen. Raises AssertionError at the deadline.

    A look that fails is a look without success: the server may still be starting.
    """
    until_s = time.monotonic() + deadline_s
    while True:
        # A look that hangs must not outlive the deadline.
        left_s = max(until_s - time.monotonic(), POLL_S)
        try:
            value = await asyncio.wait_for(look(), left_s)
        except Exception as failure:
            error: str | None = f"looking failed: {type(failure).__name__}: {failure}"
        else:
            error = every_of(*matchers)(value)
            if error is None:
                return value
        if time.monotonic() >= until_s:
            raise AssertionError(f"{what}: not within {deadline_s:g} s. The last look: {error}")
        await asyncio.sleep(POLL_S)


async def remain(look: Callable[[], Awaitable[Value]], *matchers: Matcher, what: str, for_s: float) -> Value:
    """All matchers are satisfied now and whenever looked for so long. Raises AssertionError at the first look that differs."""
    until_s = time.monotonic() + for_s
    started_s = time.monotonic()
    while True:
        value = await look()
        error = every_of(*matchers)(value)
        if error is not None:
            raise AssertionError(f"{what}: changed after {time.monotonic() - started_s:.1f} s: {error}")
        if time.monotonic() >= until_s:
            return value
        await asyncio.sleep(POLL_S)
