"""The replay of SDK calls can fail: made values are bound, all others compared, order where it is promised."""

from __future__ import annotations

from typing import Any

import pytest

from suites.contract.openim import sdk_recording
from suites.contract.openim.sdk_match import Names, made

OLD_ID, NEW_ID, OTHER_ID = "6b0498f781a166f3dc2cdb91", "7c0498f781a166f3dc2cdb91", "8d0498f781a166f3dc2cdb91"


def names() -> Names:
    """Nothing bound yet but the users' prefix."""
    return Names({"82cbc835": "aaaaaaaa"})


def test_made_values_are_bound_and_held_to_it() -> None:
    """The first answer binds an id and a time; afterwards another value for the same one is a difference."""
    known = names()
    recorded = {"versionID": OLD_ID, "createTime": 1795463415296, "userID": "82cbc835ann"}
    answered = {"versionID": NEW_ID, "createTime": 1800000000000, "userID": "aaaaaaaaann"}
    assert not list(known.differences(recorded, answered))
    assert not list(known.differences(recorded, answered))
    assert list(known.differences(recorded, {**answered, "versionID": OTHER_ID}))
    assert list(known.differences(recorded, {**answered, "createTime": 1800000000001}))
    assert known.fill({OLD_ID: "sg_82cbc835"}) == {NEW_ID: "sg_aaaaaaaa"}


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
def test_each_difference_is_seen(recorded: Any, answered: Any) -> None:
    """Form, unit, zero, value, type, null, name, length, order, keys, and what a text of JSON holds."""
    assert list(names().differences(recorded, answered))


def test_two_ids_do_not_become_one() -> None:
    """What were two version logs in the recording may not be one in the answers."""
    known = names()
    assert not list(known.differences({"versionID": OLD_ID}, {"versionID": NEW_ID}))
    assert list(known.differences({"versionID": OTHER_ID}, {"versionID": NEW_ID}))


def test_lists_without_a_promised_order_are_compared_as_sets() -> None:
    """Members in another order are the same members."""
    recorded = {"members": [{"userID": "82cbc835ann", "roleLevel": 100}, {"userID": "82cbc835ben", "roleLevel": 20}]}
    answered = {"members": [{"userID": "aaaaaaaaben", "roleLevel": 20}, {"userID": "aaaaaaaaann", "roleLevel": 100}]}
    assert not list(names().differences(recorded, answered))
    answered["members"][0]["roleLevel"] = 60
    assert list(names().differences(recorded, answered))


def test_a_recorded_list_of_conversations_is_decoded_whole() -> None:
    """No field of the recorded protobuf answers is unknown to our description of them."""
    for call in sdk_recording.load():
        if call.path in sdk_recording.PROTOBUF:
            asked, answered = sdk_recording.decoded(call)
            for message in (asked, answered):
                assert not sdk_recording.unknown_fields(message)
    assert made({"data": {"versionID": OLD_ID, "createTime": 5, "version": 1}}) == 2
