"""The comparison of REST answers reports every difference except in volatile values."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from suites.contract.openim.rest.comparison import differences

RECORDED: dict[str, Any] = {
    "errCode": 0,
    "data": {"total": 2, "rows": [{"id": "a", "time": 1}, {"id": "b", "time": 2}], "none": None},
}


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    """The recorded answer with one place changed."""
    answer = copy.deepcopy(RECORDED)
    place: Any = answer
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return answer


@pytest.mark.parametrize(
    "answer",
    [
        changed(["errCode"], 1001),
        changed(["errCode"], False),
        changed(["data", "total"], 2.0),
        changed(["data", "none"], []),
        changed(["data", "rows"], RECORDED["data"]["rows"][:1]),
        changed(["data", "rows", 0, "id"], "c"),
        changed(["data", "rows", 0, "more"], 1),
        changed(["data"], None),
        {"errCode": 0},
        "",
    ],
)
def test_every_difference_is_reported(answer: Any) -> None:
    """Values, types, lengths, missing and additional members."""
    assert differences(RECORDED, answer, volatile=["$.data.rows[*].time"])


def test_volatile_values_and_the_order_of_unordered_lists_may_differ() -> None:
    """They are masked and sorted on both sides; a missing volatile value is still a difference."""
    answer = changed(["data", "rows"], [{"id": "b", "time": 8}, {"id": "a", "time": 9}])
    masks = {"volatile": ["$.data.rows[*].time"], "unordered": ["$.data.rows"]}
    assert differences(RECORDED, answer, **masks) == []
    assert differences(RECORDED, changed(["data", "rows", 0], {"id": "a"}), **masks)


def test_encoded_values_are_compared_decoded() -> None:
    """The answer holds base64, the recording text."""
    assert differences({"$base64_json": "{}"}, "e30=") == []
    assert differences({"$base64_json": "{}"}, "W10=")
    assert differences({"$base64_json": "{}"}, None)
