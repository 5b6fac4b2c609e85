"""Stored values become values of their column's logical type, and text where they do not fit it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from verifier.profile.relations import Column, ColumnType
from verifier.stores.convert import to_logical, to_stored

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "stored", "logical"),
    [
        ("epoch_s", MOMENT.timestamp(), MOMENT),
        ("epoch_ms", str(int(MOMENT.timestamp() * 1000)), MOMENT),
        ("timestamp", "2026-03-01T13:00:00+01:00", MOMENT),
        ("timestamp", MOMENT.replace(tzinfo=None), MOMENT),
        ("timestamp", MOMENT.astimezone(timezone(timedelta(hours=5))), MOMENT),
        ("timestamp", 7, "7"),
        ("integer", "7", 7),
        ("integer", "seven", "seven"),
        ("epoch_s", 1e300, "1e+300"),
        ("boolean", "t", True),
        ("boolean", "no", False),
        ("boolean", 0, False),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", {"a": 1}, {"a": 1}),
        ("json", b"{", "{"),
        ("text", b"a\xff", "a\\xff"),
        ("text", 5, "5"),
        ("integer", None, None),
    ],
)
def test_to_logical(kind: ColumnType, stored: Any, logical: Any) -> None:
    """The declared type decides."""
    assert to_logical(Column(column="c", type=kind), stored) == logical


@pytest.mark.parametrize(
    ("kind", "stored"), [("epoch_s", 1_772_366_400), ("epoch_ms", 1_772_366_400_000), ("timestamp", MOMENT)]
)
def test_to_stored(kind: ColumnType, stored: Any) -> None:
    """A time is compared in the unit of its column; other values are unchanged."""
    assert to_stored(Column(column="c", type=kind), MOMENT) == stored
    assert to_stored(Column(column="c", type=kind), "x") == "x"
