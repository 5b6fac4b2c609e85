"""Values of two stores are partners when they are equal, whatever their types; and never because their texts collide."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.proofs.matching import exact, key_text, plausible

INTEGERS = st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1800 < moment.year < 2200)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SCALARS = st.one_of(
    INTEGERS, st.text(), st.uuids(), MOMENTS, st.binary(), st.booleans(), st.none(),
    st.floats(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False),
)  # fmt: skip


@given(INTEGERS, st.integers(0, 6))
def test_a_number_has_one_exact_form(number: int, zeros: int) -> None:
    """As an integer, as text, as a decimal with zeros behind the point."""
    decimal = Decimal(number).quantize(Decimal(1).scaleb(-zeros)) if zeros < 6 else Decimal(number)
    assert exact(number) == exact(str(number)) == exact(decimal)


@given(st.floats(-1e15, 1e15))
def test_a_float_equals_the_decimal_of_its_text(number: float) -> None:
    """Stores write a float as its shortest text."""
    assert plausible(number) == plausible(str(number)) == plausible(Decimal(str(number)))


@given(st.integers(2**53, 2**63 - 1))
def test_a_long_integer_differs_from_the_float_that_lost_its_end(number: int) -> None:
    """A float has 53 bits: an id that went through one is another id."""
    assert (exact(float(number)) == exact(number)) is (int(float(number)) == number)
    assert (plausible(float(number)) == plausible(number)) is (int(float(number)) == number)


@given(MOMENTS, ZONES)
def test_a_moment_has_one_exact_form_in_all_zones(moment: datetime, zone: timezone) -> None:
    """And its text may be any way to write it."""
    assert exact(moment) == exact(moment.astimezone(zone))
    assert plausible(moment) == plausible(moment.astimezone(zone).isoformat())


@given(st.uuids())
def test_a_uuid_has_one_plausible_form(value: uuid.UUID) -> None:
    """With and without dashes, in braces, in upper case."""
    forms = (str(value), value.hex, str(value).upper(), f"{{{value}}}", value.urn)
    assert {plausible(form) for form in forms} == {plausible(value)}
    assert exact(value) == exact(str(value))


@given(st.binary(), st.binary())
def test_bytes_keep_their_difference(one: bytes, two: bytes) -> None:
    """Bytes that are not UTF-8 do not become the text of other bytes."""
    assert (exact(one) == exact(two)) is (one == two)
    assert (key_text(one) == key_text(two)) is (one == two)


@given(SCALARS, SCALARS)
def test_what_is_exactly_equal_is_plausibly_equal(one: Any, two: Any) -> None:
    """The wider form never separates what the exact one joins."""
    if exact(one) == exact(two):
        assert plausible(one) == plausible(two)


@given(st.text(), st.text())
def test_texts_are_exactly_equal_only_if_they_are_the_same(one: str, two: str) -> None:
    """Case, blanks and composition are the store's business."""
    assert (exact(one) == exact(two)) is (one == two)


@pytest.mark.parametrize(
    ("one", "two"),
    [("007", 7), ("+7", 7), ("7 ", 7), (True, 1), (True, "True"), (None, "None"), ("1e3", "1E3x"), ("é", "e"), (b"\xff", "\\xff"), ([1], "[1]")],
)  # fmt: skip
def test_different_values_are_not_even_plausible(one: Any, two: Any) -> None:
    """Texts that merely look alike."""
    assert plausible(one) != plausible(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("abc", "abc   "),
        ("Bob", "bob"),
        ("1.0", "1.00"),
        ("1e3", 1000),
        (Decimal("1.10"), "1.1"),
        ("e\u0301", "\u00e9"),
    ],
)
def test_what_a_store_may_equate_is_plausible(one: Any, two: Any) -> None:
    """By padding, collation or column type. Whether it does, the store is asked."""
    assert plausible(one) == plausible(two)
    assert exact(one) != exact(two) or not isinstance(one, str)
