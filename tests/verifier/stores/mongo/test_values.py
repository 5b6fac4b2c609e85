"""MongoDB values survive the conversion to text and back, and filters never hide a record."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, ObjectId, Timestamp
from bson.binary import UuidRepresentation
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier.model.query import Where
from verifier.model.values import FOREVER, LONG_AGO, Unreadable
from verifier.profile.relations import Column
from verifier.stores.mongo.values import CODEC, accepted, condition, dig, logical, stored_forms, types_after

TEXT = Column(column="f")
_ids = (
    st.text(min_size=1)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.uuids()
    | st.binary(min_size=12, max_size=12).map(ObjectId)
    | st.binary(max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-10_000, max_value=10_000).map(Decimal128)
    | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda pair: Timestamp(*pair))
    | st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
    | st.dictionaries(st.text("abc", min_size=1), st.integers(0, 9) | st.text("xyz"), min_size=1, max_size=3)
)


@settings(deadline=None)
@given(value=_ids)
def test_an_id_as_text_converts_back(value: Any) -> None:
    """The second pass finds a suspect by the text of its key, whichever BSON type the key has."""
    text = logical(TEXT, value)
    assert isinstance(text, str)
    stored = bson.decode(bson.encode({"v": value}, codec_options=CODEC), codec_options=CODEC)["v"]
    assert any(_same(form, stored) for form in stored_forms(TEXT, text))


def _same(form: Any, stored: Any) -> bool:
    """Whether MongoDB treats them as equal: numbers by value, other types by their bytes."""
    try:
        return bool(form == stored and isinstance(form, bool) == isinstance(stored, bool))
    except TypeError:
        return False


def test_24_hex_digits_are_looked_up_as_text_and_objectid() -> None:
    """24 hex digits may be an ObjectId or the text of one."""
    forms = stored_forms(TEXT, "65f0c0ffee65f0c0ffee65f0")
    assert "65f0c0ffee65f0c0ffee65f0" in forms
    assert ObjectId("65f0c0ffee65f0c0ffee65f0") in forms


@pytest.mark.parametrize(
    "order", [UuidRepresentation.PYTHON_LEGACY, UuidRepresentation.JAVA_LEGACY, UuidRepresentation.CSHARP_LEGACY]
)
def test_a_uuid_of_an_old_driver_is_found_and_not_guessed(order: int) -> None:
    """Its byte order is not stored, so it may be one of several ids."""
    value = uuid.UUID("0b5e7b6e-3f0a-4d57-9c3e-0a5f8c1d2e3f")
    stored = Binary.from_uuid(value, order)
    assert stored in stored_forms(TEXT, str(value))
    assert isinstance(logical(TEXT, stored), Unreadable)


def test_broken_text_and_late_dates_are_values() -> None:
    """Invalid UTF-8 becomes text, and a date outside Python's calendar the end of it."""
    raw = b"\x10\x00\x00\x00\x02n\x00\x04\x00\x00\x00a\xff\xfe\x00\x00"
    assert logical(TEXT, bson.decode(raw, codec_options=CODEC)["n"]) == "a\\xff\\xfe"
    late = bson.encode({"n": bson.DatetimeMS(400_000_000_000_000)})
    assert logical(Column(column="n", type="timestamp"), bson.decode(late, codec_options=CODEC)["n"]) == FOREVER
    early = bson.encode({"n": bson.DatetimeMS(-400_000_000_000_000)})
    assert logical(Column(column="n", type="timestamp"), bson.decode(early, codec_options=CODEC)["n"]) == LONG_AGO


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.b", 1), ("a.c", None), ("list.x", [1, 2]), ("list.1.x", 2), ("list.9.x", None), ("none.x", None)],
)
def test_dotted_paths(path: str, expected: Any) -> None:
    """Paths go through documents and lists, and give None where there is nothing."""
    document = {"a": {"b": 1}, "list": [{"x": 1}, {"x": 2}, 3], "none": None}
    assert dig(document, path) == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", ObjectId("65f0c0ffee65f0c0ffee65f0"), "65f0c0ffee65f0c0ffee65f0"),
        ("text", uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("integer", Decimal128("7"), 7),
        ("integer", "seven", "seven"),
        ("epoch_ms", 1_700_000_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("timestamp", Timestamp(1_700_000_000, 1), datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("json", {"a": ObjectId("65f0c0ffee65f0c0ffee65f0")}, {"a": {"$oid": "65f0c0ffee65f0c0ffee65f0"}}),
        ("text", None, None),
    ],
)
def test_logical_values(kind: Any, value: Any, expected: Any) -> None:
    """The declared type decides; a value that does not fit it becomes text."""
    assert logical(Column(column="f", type=kind), value) == expected


def test_a_value_of_the_wrong_type_passes_the_filter() -> None:
    """A time that is stored as text reaches the comparison of the proof."""
    filtered = condition(Column(column="at", type="timestamp"), Where("at", ">", datetime(2026, 1, 1, tzinfo=UTC)))
    assert {"at": {"$ne": None, "$not": {"$type": "date"}}} in filtered["$or"]


def test_a_value_that_cannot_be_read_passes() -> None:
    """Text in a time column is neither before nor after a time; the proof counts it."""
    column = Column(column="at", type="timestamp")
    assert accepted([Where("at", ">", datetime(2026, 1, 1, tzinfo=UTC))], {"at": logical(column, "yesterday")})


def test_types_after_follow_the_order_of_bson() -> None:
    """A bool is a number in Python and sorts after numbers in BSON."""
    assert "objectId" in types_after("text")
    assert types_after(True) == ["date", "timestamp", "maxKey"]
    assert "bool" in types_after(1)
    assert types_after(ObjectId()) == ["bool", "date", "timestamp", "maxKey"]
