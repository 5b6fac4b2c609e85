"""Only `must` fails a test, and a time-out reports the last error."""

from __future__ import annotations

import asyncio
import time

import pytest

from suites.journeys import match, must


def test_must_returns_the_value_or_fails_with_its_name() -> None:
    """The error begins with the name of the value."""
    assert must.match([1], match.length(1)) == [1]
    with pytest.raises(AssertionError, match="bob's pushes: expected 1 items, got 2"):
        must.match([1, 2], match.length(1), what="bob's pushes")


def test_eventually_polls_until_the_value_matches() -> None:
    """Attempts that fail or do not match yet are repeated."""
    answers: list[list[int] | None] = [[1], [], None]

    async def poll() -> list[int]:
        answer = answers.pop()
        if answer is None:
            raise ConnectionError("not yet")
        return answer

    assert asyncio.run(must.eventually(poll, match.length(1), what="list", deadline_s=5)) == [1]


def test_a_time_out_reports_the_last_error() -> None:
    """The message is not "timed out", but the last error."""

    async def poll() -> int:
        return 7

    async def fail() -> int:
        raise ConnectionError("connection refused")

    async def hang() -> int:
        await asyncio.sleep(60)
        return 1

    with pytest.raises(AssertionError, match=r"seq: not within 0.2 s. The last attempt: expected 8, got 7"):
        asyncio.run(must.eventually(poll, match.equal(8), what="seq", deadline_s=0.2))
    with pytest.raises(AssertionError, match="ConnectionError: connection refused"):
        asyncio.run(must.eventually(fail, match.equal(8), what="seq", deadline_s=0.2))
    began_s = time.monotonic()
    with pytest.raises(AssertionError, match="TimeoutError"):
        asyncio.run(must.eventually(hang, match.equal(8), what="seq", deadline_s=0.2))
    assert time.monotonic() - began_s < 5


def test_remain_checks_the_value_all_the_time() -> None:
    """A change is a failure that names its time."""
    steps = iter([1, 1, 2])

    async def poll() -> int:
        return next(steps, 1)

    async def still() -> int:
        return 1

    with pytest.raises(AssertionError, match=r"rows: changed after 0\.\d s: expected 1, got 2"):
        asyncio.run(must.remain(poll, match.equal(1), what="rows", for_s=5))
    assert asyncio.run(must.remain(still, match.equal(1), what="rows", for_s=0.2)) == 1
