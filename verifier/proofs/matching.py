"""When two key values of different stores are the same, although one store keeps text, another numbers or UUIDs.

`exact` is a form in which equal values are equal whatever their types: 5, 5.0, Decimal("5.00") and "5". `plausible` is a wider
form: values that a store may treat as equal by its column type or collation, such as "abc" and "abc " in `char(n)`, "Bob" and
"bob" in `citext`, or two spellings of a UUID. Whether the store does treat them so, only the store can say.
"""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections.abc import Hashable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?\Z", re.ASCII)
"""As stores write numbers. `007` and `+7` are texts."""
_UUID = re.compile(
    r"(?:urn:uuid:)?\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?\Z", re.IGNORECASE
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


def exact(value: Any) -> Hashable:
    """A form in which equal values of different types are equal, and different ones differ. None stays None."""
    match value:
        case None:
            return None
        case bool():
            return ("boolean", value)
        case str():
            return str(value)
        case int():
            return str(value)
        case float():
            return _number(Decimal(value)) if value.is_integer() else repr(value)
        case Decimal():
            return _number(value)
        case uuid.UUID():
            return str(value)
        case datetime():
            return str(value.astimezone(UTC)) if value.tzinfo else str(value)
        case date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("utf-8", "surrogateescape")
        case dict() | list() | tuple():
            return ("nested", json.dumps(value, default=str, sort_keys=True))
        case _:
            return str(value)


def plausible(value: Any) -> tuple[Hashable, ...]:
    """A form that is equal for all values that a store may treat as equal to this one."""
    form = exact(value)
    if not isinstance(form, str):
        return form if isinstance(form, tuple) else (form,)
    if _NUMBER.match(form):
        return ("number", _number(Decimal(form)))
    if _UUID.match(form):
        return ("uuid", re.sub(r"urn:uuid:|[{}-]", "", form.lower()))
    if _TIME.match(form) and (moment := _moment(form)) is not None:
        return ("time", moment)
    return ("text", unicodedata.normalize("NFC", form.rstrip(" ")).casefold())


def differ_in_case(one: Any, two: Any) -> bool:
    """Whether two plausibly equal values differ in the case of letters."""
    forms = [exact(one), exact(two)]
    bare = [re.sub(r"urn:uuid:|[{}-]", "", form) if _UUID.match(form) else form.rstrip(" ") for form in map(str, forms)]
    return plausible(one)[:1] in (("text",), ("uuid",)) and _composed(bare[0]) != _composed(bare[1])


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _number(value: Decimal) -> str:
    """Without trailing zeros and without an exponent; a number that is very large or small keeps its exponent."""
    if not value.is_finite():
        return str(value)
    try:
        integral = value == value.to_integral_value()
    except InvalidOperation:
        integral = False
    if abs(value.adjusted()) > 400:
        return str(value.normalize())
    if integral:
        return str(int(value))
    return f"{value:f}".rstrip("0")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def key_text(value: Any) -> str | None:
    """A key value as text for raw keys and for display; None stays None."""
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "surrogateescape")
    return str(value)
