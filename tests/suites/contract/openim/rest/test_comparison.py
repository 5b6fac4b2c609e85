"""The comparison of REST answers reports every difference except in volatile values."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from fixtures.openim.routes import user
from suites.contract.openim.rest import recording
from suites.contract.openim.rest.comparison import differences
from suites.contract.openim.rest.replay import replay_flow

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


def test_a_double_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wrong error text in one route fails exactly the recorded cases that meet it."""
    monkeypatch.setattr(user, "require_text", lambda *_: None)
    outcomes = asyncio.run(replay_flow(None, "user-register")).outcomes
    wrong = {outcome.case.case for outcome in outcomes if outcome.differences}
    assert {"register-empty-nickname", "register-missing-nickname"} <= wrong
    assert "register-batch-10000" not in wrong


def test_flows_bring_what_they_depend_on() -> None:
    """A flow can be replayed alone: the cases that it needs run before it, in recorded order."""
    cases = recording.load()
    names = [case.case for case in recording.closure(cases, "account-check")]
    assert (
        names.index("admin-token-ok") < names.index("register-batch-1000") < names.index("check-batch-1000-registered")
    )
    assert "send-text" not in names
