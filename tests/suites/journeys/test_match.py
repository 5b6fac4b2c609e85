"""Matchers return what is wrong and where."""

from __future__ import annotations

import pytest

from suites.journeys import match
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
