"""MongoDB commands in normal form have no values."""

from __future__ import annotations

from typing import Any

import pytest

from verifier.stores.mongo.command_log import normal_command, rows_in


@pytest.mark.parametrize(
    ("command", "form"),
    [
        (
            {"find": "messages", "filter": {"conv": {"$in": ["a", "b"]}}, "sort": {"_id": 1}, "$db": "chat"},
            "find messages filter {conv: {$in: [?]}} sort {_id: ?}",
        ),
        (
            {"aggregate": "messages", "pipeline": [{"$match": {"n": 1}}, {"$limit": 5}]},
            "aggregate messages pipeline [{$match: {n: ?}}, {$limit: ?}]",
        ),
        ({"getMore": 77, "collection": "messages"}, "getMore messages"),
        ({"hello": 1}, "hello"),
    ],
)
def test_normal_command(command: dict[str, Any], form: str) -> None:
    """Collection, filter, pipeline, projection, sort and limit, with a question mark for each value."""
    assert normal_command(next(iter(command)), command) == form


def test_deep_filters_are_cut() -> None:
    """The form is bounded however deep a filter is."""
    value: Any = 1
    for _ in range(50):
        value = {"a": value}
    assert len(normal_command("find", {"find": "c", "filter": value})) < 60


def test_rows_in_an_answer() -> None:
    """First and further batches are counted; other answers have none."""
    assert rows_in({"cursor": {"firstBatch": [1, 2]}}) == 2
    assert rows_in({"cursor": {"nextBatch": [1]}}) == 1
    assert rows_in({"ok": 1}) == rows_in({"cursor": {}}) == 0
