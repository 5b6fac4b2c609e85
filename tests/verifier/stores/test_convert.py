"""Stored values become values of their column's logical type, or are known to be unreadable."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.model.query import Operator, Where
from verifier.model.values import FOREVER, LONG_AGO, Unreadable
from verifier.profile.relations import Column, ColumnType
from verifier.stores.convert import EARLIEST_S, LATEST_S, to_logical, to_stored

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "stored", "logical"),
    [
        ("epoch_s", MOMENT.timestamp(), MOMENT),
        ("epoch_ms", str(int(MOMENT.timestamp() * 1000)), MOMENT),
        ("epoch_ms", Decimal(int(MOMENT.timestamp() * 1000)), MOMENT),
        ("epoch_ms", MOMENT, MOMENT),
        ("epoch_s", 0, None),
        ("epoch_s", "", None),
        ("timestamp", "2026-03-01T13:00:00+01:00", MOMENT),
        ("timestamp", "2026-03-01T12:00:00Z", MOMENT),
        ("timestamp", MOMENT.replace(tzinfo=None), MOMENT),
        ("timestamp", MOMENT.astimezone(timezone(timedelta(hours=5))), MOMENT),
        ("timestamp", date(2026, 3, 1), MOMENT.replace(hour=0)),
        ("timestamp", "infinity", FOREVER),
        ("timestamp", "-infinity", LONG_AGO),
        ("timestamp", datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), FOREVER),
        ("timestamp", "0000-00-00 00:00:00", None),
        ("timestamp", "", None),
        ("integer", "7", 7),
        ("integer", " 007 ", 7),
        ("integer", "7.0", 7),
        ("integer", Decimal("7.00"), 7),
        ("integer", 7.0, 7),
        ("boolean", 0, False),
        ("boolean", Decimal(1), True),
        ("boolean", b"\x01", True),
        ("boolean", b"\x00", False),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", {"a": 1}, {"a": 1}),
        ("json", b"{", "{"),
        ("text", b"a\xff", "a\udcff"),
        ("text", 5, "5"),
        ("text", 5.0, "5"),
        ("text", 2.5, "2.5"),
        ("text", float(2**60), str(2**60)),
        ("integer", None, None),
        ("timestamp", None, None),
    ],
)
def test_to_logical(kind: ColumnType, stored: Any, logical: Any) -> None:
    """The declared type decides."""
    found = to_logical(Column(column="c", type=kind), stored)
    assert found == logical
    assert type(found) is type(logical)


@pytest.mark.parametrize(
    ("text", "logical"),
    [(text, True) for text in ("1", "t", "T", "true", "TRUE", "y", "Y", "yes", "on", " On ")]
    + [(text, False) for text in ("0", "f", "F", "false", "n", "N", "no", "off", "OFF")],
)
def test_texts_of_booleans(text: str, logical: bool) -> None:
    """The texts that databases and languages write, in any case."""
    assert to_logical(Column(column="c", type="boolean"), text) is logical


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("boolean", "active"), ("boolean", "enabled"), ("boolean", ""), ("boolean", 2), ("boolean", -1),
        ("integer", "seven"), ("integer", ""), ("integer", "7.5"), ("integer", 7.5), ("integer", "1_000"),
        ("integer", float("nan")), ("integer", float("inf")), ("integer", "0x10"),
        ("timestamp", 7), ("timestamp", "yesterday"), ("timestamp", "2026-13-01"),
        ("epoch_s", 1e300), ("epoch_s", "soon"), ("epoch_s", True), ("epoch_s", float("nan")), ("epoch_s", -5),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_unreadable(kind: ColumnType, stored: Any) -> None:
    """It is never compared as if it were a value; its text and the reason remain."""
    found = to_logical(Column(column="c", type=kind), stored)
    assert isinstance(found, Unreadable)
    assert found == str(stored)
    assert found.why


@pytest.mark.parametrize("op", ["=", "!=", "<", "<=", ">", ">=", "in", "not null"])
def test_an_unreadable_value_passes_every_condition(op: Operator) -> None:
    """A filter must not drop what nobody can compare: the proof counts it."""
    assert Where("c", op, MOMENT).accepts(Unreadable("x", "why"))
    assert not Where("c", "is null").accepts(Unreadable("x", "why"))


@pytest.mark.parametrize(
    ("declared", "unit"),
    [("epoch_s", "epoch_ms"), ("epoch_ms", "epoch_s"), ("epoch_s", "microseconds"), ("epoch_ms", "nanoseconds")],
)
def test_a_time_in_another_unit_is_noticed(declared: ColumnType, unit: str) -> None:
    """Milliseconds read as seconds lie tens of thousands of years ahead, so that every session would be live."""
    per_s = {"epoch_s": 1, "epoch_ms": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}[unit]
    found = to_logical(Column(column="c", type=declared), int(MOMENT.timestamp()) * per_s)
    assert isinstance(found, Unreadable)
    assert "the unit looks wrong" in found.why
    assert f"a time of 2026 if it is in {unit}" in found.why


@given(st.integers(EARLIEST_S, LATEST_S))
def test_a_time_is_plausible_in_one_unit_only(seconds: int) -> None:
    """The ranges of the units do not overlap."""
    for declared, per_s in (("epoch_s", 1), ("epoch_ms", 1000)):
        column = Column(column="c", type=declared)
        assert isinstance(to_logical(column, seconds * per_s), datetime)
        for other in {1, 1000, 10**6, 10**9} - {per_s}:
            assert isinstance(to_logical(column, seconds * other), Unreadable)


@pytest.mark.parametrize("kind", ["timestamp", "epoch_s", "epoch_ms"])
def test_an_end_that_is_not_given(kind: ColumnType) -> None:
    """By default it never comes; a profile may say the opposite."""
    empty: list[Any] = [None, ""] if kind == "timestamp" else [None, "", 0, -1, "0"]
    for value in empty:
        assert to_logical(Column(column="c", type=kind, empty_means="never"), value) == FOREVER
        assert to_logical(Column(column="c", type=kind, empty_means="expired"), value) == LONG_AGO
    if kind != "timestamp":
        far = 253_402_300_799 * (1 if kind == "epoch_s" else 1000)  # the end of the year 9999
        assert to_logical(Column(column="c", type=kind, empty_means="never"), far) == FOREVER
        assert to_logical(Column(column="c", type=kind, empty_means="never"), 2**63 - 1) == FOREVER


def test_declared_true_values_decide() -> None:
    """Every other value is then false."""
    column = Column(column="c", type="boolean", true_values=("Active", 1))
    assert [to_logical(column, value) for value in ("active", "1", 1, "banned", 2, "", "yes")] == [True] * 3 + [
        False
    ] * 4
    assert to_logical(column, True) is True
    assert to_logical(column, None) is None


@pytest.mark.parametrize(
    ("kind", "stored"), [("epoch_s", 1_772_366_400), ("epoch_ms", 1_772_366_400_000), ("timestamp", MOMENT)]
)
def test_to_stored(kind: ColumnType, stored: Any) -> None:
    """A time is compared in the unit of its column; other values are unchanged."""
    assert to_stored(Column(column="c", type=kind), MOMENT) == stored
    assert to_stored(Column(column="c", type=kind), "x") == "x"
