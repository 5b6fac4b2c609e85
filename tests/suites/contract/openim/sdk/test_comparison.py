"""The comparison of SDK answers binds values that the server makes, and compares all others."""

from __future__ import annotations

from typing import Any

import pytest

from suites.contract.openim.sdk.comparison import SdkComparison, count_made

OLD_ID, NEW_ID, OTHER_ID = "6b0498f781a166f3dc2cdb91", "7c0498f781a166f3dc2cdb91", "8d0498f781a166f3dc2cdb91"


def comparison() -> SdkComparison:
    """A comparison in which only the prefix of users is bound."""
    return SdkComparison({"82cbc835": "aaaaaaaa"})


def test_values_of_the_server_are_bound() -> None:
    """The first answer binds an id and a time; later, another value for the same one is a difference."""
    known = comparison()
    recorded = {"versionID": OLD_ID, "createTime": 1795463415296, "userID": "82cbc835ann"}
    answered = {"versionID": NEW_ID, "createTime": 1800000000000, "userID": "aaaaaaaaann"}
    assert not list(known.differences(recorded, answered))
    assert not list(known.differences(recorded, answered))
    assert list(known.differences(recorded, {**answered, "versionID": OTHER_ID}))
    assert list(known.differences(recorded, {**answered, "createTime": 1800000000001}))
    assert known.filled({OLD_ID: "sg_82cbc835"}) == {NEW_ID: "sg_aaaaaaaa"}


@pytest.mark.parametrize(
    ("recorded", "answered"),
    [
        ({"versionID": OLD_ID}, {"versionID": "5"}),
        ({"createTime": 1795463415296}, {"createTime": 1795463415}),
        ({"createTime": 0}, {"createTime": 1800000000000}),
        ({"version": 1}, {"version": 2}),
        ({"full": False}, {"full": 0}),
        ({"insert": None}, {"insert": []}),
        ({"userID": "82cbc835ann"}, {"userID": "82cbc835ann"}),
        ({"groups": [1]}, {"groups": [1, 1]}),
        ({"rows": [1, 2]}, {"rows": [2, 1]}),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"content": '{"content":"hello"}'}, {"content": '{"content":"bye"}'}),
        ({"content": '{"detail":"{\\"seq\\":1}"}'}, {"content": '{"detail":"{\\"seq\\":2}"}'}),
    ],
)
def test_each_difference_is_reported(recorded: Any, answered: Any) -> None:
    """Form, unit, zero, value, type, null, name, length, order, keys, and the JSON inside a text."""
    assert list(comparison().differences(recorded, answered))


def test_two_ids_must_have_two_values() -> None:
    """Two recorded version ids with the same value in the answers are a difference."""
    known = comparison()
    assert not list(known.differences({"versionID": OLD_ID}, {"versionID": NEW_ID}))
    assert list(known.differences({"versionID": OTHER_ID}, {"versionID": NEW_ID}))


def test_unordered_lists_are_compared_by_id() -> None:
    """Members may come in another order; their other values are compared."""
    recorded = {"members": [{"userID": "82cbc835ann", "roleLevel": 100}, {"userID": "82cbc835ben", "roleLevel": 20}]}
    answered = {"members": [{"userID": "aaaaaaaaben", "roleLevel": 20}, {"userID": "aaaaaaaaann", "roleLevel": 100}]}
    assert not list(comparison().differences(recorded, answered))
    answered["members"][0]["roleLevel"] = 60
    assert list(comparison().differences(recorded, answered))


def test_values_of_the_server_are_counted() -> None:
    """Ids and times count; versions do not."""
    assert count_made({"data": {"versionID": OLD_ID, "createTime": 5, "version": 1}}) == 2
