"""Matchers return what is wrong and where; only `must` fails, and a time-out reports the last error."""

from __future__ import annotations

import asyncio
import time

import pytest

from suites.journeys import match, must
from suites.journeys.match import Matcher


@pytest.mark.parametrize(
    ("matcher", "good", "bad", "error"),
    [
        (match.equal(1), 1, 2, "expected 1, got 2"),
        (match.one_of(1, 2), 2, 3, "expected one of (1, 2), got 3"),
        (match.at_least(3), 3, 2, "expected at least 3, got 2"),
        (match.has("b"), "abc", "xyz", "'b' is not in 'xyz'"),
        (match.lacks("token"), {"id": 1}, {"token": 1}, "'token' is in"),
        (match.length(2), [1, 2], [1], "expected 2 items, got 1: [1]"),
        (match.at("a.0.b", match.equal(1)), {"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a.0.b: expected 1, got 2"),
        (match.at("a.0", match.equal(1)), {"a": [1]}, {"a": []}, "a.0: there is no '0' in []"),
        (match.at("a.b"), {"a": {"b": 1}}, {"a": None}, "there is no 'b' in None"),
        (match.each(match.at_least(1)), [1, 2], [1, 0], "item 2: expected at least 1, got 0"),
        (match.each(match.at_least(1)), [1], [], "there are no items at all"),
        (match.some(match.equal(1)), [2, 1], [2, 3], "the last one: expected 1, got 3"),
        (match.some(match.equal(1)), [1], [], "there are no items"),
        (match.none(match.equal(1)), [2], [2, 1], "an item that must not be there: 1"),
        (match.fields(a=1, b=2), {"a": 1, "b": 2, "c": 3}, {"a": 1}, "b: there is no 'b'"),
        (match.every_of(match.at_least(1), match.equal(2)), 2, 0, "expected at least 1"),
    ],
)
def test_a_matcher_returns_its_error_or_none(matcher: Matcher, good: object, bad: object, error: str) -> None:
    """None if satisfied, otherwise the expected and the actual value."""
    assert matcher(good) is None
    assert error in (matcher(bad) or "")


def test_an_error_message_is_limited_in_length() -> None:
    """An actual value of a megabyte is shortened."""
    assert len(match.equal(1)("x" * 1_000_000) or "") < 1000


def test_must_returns_the_value_or_fails_with_its_name() -> None:
    """The error begins with the name of the value."""
    assert must.match([1], match.length(1)) == [1]
    with pytest.raises(AssertionError, match="bob's pushes: expected 1 items, got 2"):
        must.match([1, 2], match.length(1), what="bob's pushes")


def test_eventually_polls_until_the_value_matches() -> None:
    """Attempts that fail or do not match yet are repeated."""
    answers: list[list[int] | None] = [[1], [], None]

    async def look() -> list[int]:
        answer = answers.pop()
        if answer is None:
            raise ConnectionError("not yet")
        return answer

    assert asyncio.run(must.eventually(look, match.length(1), what="list", deadline_s=5)) == [1]


def test_a_time_out_reports_the_last_error() -> None:
    """The message is not "timed out", but the last error."""

    async def look() -> int:
        return 7

    async def fail() -> int:
        raise ConnectionError("connection refused")

    async def hang() -> int:
        await asyncio.sleep(60)
        return 1

    with pytest.raises(AssertionError, match=r"seq: not within 0.2 s. The last attempt: expected 8, got 7"):
        asyncio.run(must.eventually(look, match.equal(8), what="seq", deadline_s=0.2))
    with pytest.raises(AssertionError, match="ConnectionError: connection refused"):
        asyncio.run(must.eventually(fail, match.equal(8), what="seq", deadline_s=0.2))
    began_s = time.monotonic()
    with pytest.raises(AssertionError, match="TimeoutError"):
        asyncio.run(must.eventually(hang, match.equal(8), what="seq", deadline_s=0.2))
    assert time.monotonic() - began_s < 5


def test_remain_checks_the_value_all_the_time() -> None:
    """A change is a failure that names its time."""
    steps = iter([1, 1, 2])

    async def look() -> int:
        return next(steps, 1)

    async def still() -> int:
        return 1

    with pytest.raises(AssertionError, match=r"rows: changed after 0\.\d s: expected 1, got 2"):
        asyncio.run(must.remain(look, match.equal(1), what="rows", for_s=5))
    assert asyncio.run(must.remain(still, match.equal(1), what="rows", for_s=0.2)) == 1
