"""The comparison of JSON values names each difference with its path."""

from __future__ import annotations

from typing import Any

import pytest

from suites.contract.openim.shared.comparison import Comparison, shown


@pytest.mark.parametrize(
    ("recorded", "actual", "sentence"),
    [
        ({"a": 1}, {"a": 2}, "$.a = 2, recorded 1"),
        ({"a": 1}, {"a": True}, "$.a = true, recorded 1"),
        ({"a": 1}, {}, "$.a is missing; recorded 1"),
        ({}, {"a": 1}, "$.a = 1 was not recorded"),
        ([1, 2], [1], "$ has 1 entries, recorded 2: [1]"),
        ([{"a": None}], [{"a": []}], "$[0].a = [], recorded null"),
    ],
)
def test_a_difference_is_a_sentence(recorded: Any, actual: Any, sentence: str) -> None:
    """Values, types, missing and additional members, and lengths are compared."""
    assert list(Comparison().differences(recorded, actual)) == [sentence]
    assert list(Comparison().differences(recorded, recorded)) == []


def test_long_values_are_shortened() -> None:
    """A sentence shows at most 300 characters of a value."""
    assert len(shown("x" * 1000)) == 301
