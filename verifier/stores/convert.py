"""Conversion between stored values and the logical values that proofs compare.

A value that is not of its column's declared type becomes `Unreadable`: nothing is concluded from it, and the proof says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from verifier.model.values import FOREVER, LONG_AGO, Unreadable
from verifier.profile.relations import Column

EARLIEST_S = 631_152_000
"""1990 in Unix seconds. A platform has no times before it; a number in the wrong unit gives one."""
LATEST_S = 4_102_444_800
"""2100."""
_PER_S = {"epoch_s": 1, "epoch_ms": 1_000}
_OTHER_UNITS = (("epoch_s", 1), ("epoch_ms", 1_000), ("microseconds", 1_000_000), ("nanoseconds", 1_000_000_000))
TIMES = ("timestamp", "epoch_s", "epoch_ms")
_TRUE = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE = frozenset({"0", "f", "false", "n", "no", "off"})
_INTEGER = re.compile(r"[+-]?\d+(?:\.0+)?\Z", re.ASCII)
_NO_TIME = re.compile(r"0000-00-00(?:[T ]00:00:00(?:\.0+)?)?Z?\Z")
"""What MySQL keeps where there is no time, and what imports take over from it."""


def to_logical(column: Column, value: Any) -> Any:
    """A stored value as its column's logical type; Unreadable where it does not fit that type."""
    if value is None:
        return _nothing(column)
    if column.type == "json":
        return _json(value)
    if column.type == "text":
        return _text(value)
    try:
        return _READ[column.type](column, value)
    except (ValueError, TypeError, ArithmeticError, OSError):
        return Unreadable(_text(value), f"not of type {column.type}")


def to_stored(column: Column, value: Any) -> Any:
    """A logical value in the form that the store compares."""
    if isinstance(value, datetime) and column.type in _PER_S:
        stored = value.timestamp() * _PER_S[column.type]
        return int(stored) if stored.is_integer() else stored
    return value


def sql_condition(column: Column, target: str, operator: str, parameter: str) -> str:
    """A comparison as SQL. It passes what `Where.accepts` passes: also values that cannot be read, and ends that never come.

    `target` and `parameter` are SQL. A number that is no plausible time in the column's unit passes, so that the proof sees it.
    """
    compared = f"{target} {operator} {parameter}"
    ends = ends_pass(column, operator)
    bounds = plausible_range(column)
    if bounds is None:
        return f"({compared} OR {target} IS NULL)" if ends else compared
    earliest, latest = bounds
    plausible = f"{target} BETWEEN {earliest} AND {latest}"
    # NULL and numbers up to 0 say that there is no time; -1 does so for ends only.
    nothing = f"{target} <= 0" if column.empty_means else f"{target} = 0"
    odd = f"({target} NOT BETWEEN {earliest} AND {latest} AND NOT {nothing})"
    parts = [f"({compared} AND {plausible})", odd]
    if ends:
        parts += [f"{target} IS NULL", nothing]
    return f"({' OR '.join(parts)})"


def plausible_range(column: Column) -> tuple[int, int] | None:
    """The stored numbers that are plausible times in the column's unit; None for a column that does not hold times as
    numbers."""
    per_s = _PER_S.get(column.type)
    return None if per_s is None else (EARLIEST_S * per_s, LATEST_S * per_s)


def ends_pass(column: Column, operator: str) -> bool:
    """Whether an end that is not given satisfies a comparison."""
    if column.empty_means is None:
        return False
    return operator in ((">", ">=", "!=") if column.empty_means == "never" else ("<", "<=", "!="))


def _nothing(column: Column) -> datetime | None:
    """What NULL means."""
    if column.empty_means is None or column.type not in TIMES:
        return None
    return FOREVER if column.empty_means == "never" else LONG_AGO


def _epoch(column: Column, value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return _aware(value)
    if isinstance(value, bool):
        raise TypeError("a boolean is no time")
    if isinstance(value, str | bytes) and not value.strip():
        return _nothing(column)
    number = float(value)
    if number == 0 or (number < 0 and column.empty_means):
        return _nothing(column)
    if EARLIEST_S <= (seconds := number / _PER_S[column.type]) <= LATEST_S:
        return datetime.fromtimestamp(seconds, UTC)
    for unit, per_s in _OTHER_UNITS:
        if EARLIEST_S <= number / per_s <= LATEST_S:
            year = datetime.fromtimestamp(number / per_s, UTC).year
            return Unreadable(  # type: ignore[return-value]  # every caller takes any value
                _text(value), f"the unit looks wrong: declared as {column.type}, a time of {year} if it is in {unit}"
            )
    if column.empty_means and seconds > LATEST_S:
        return FOREVER  # 9999-12-31 and the like
    raise ValueError("not a time of this age")


def _timestamp(column: Column, value: Any) -> datetime | None:
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str):
        return _aware(value)
    text = value.strip()
    if not text or _NO_TIME.match(text):
        return _nothing(column)
    if text.lower().lstrip("-+") == "infinity":
        return LONG_AGO if text.startswith("-") else FOREVER
    return _aware(datetime.fromisoformat(text))


def _aware(value: Any) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise TypeError(f"not a time: {type(value).__name__}")
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:  # at the ends of the calendar, in another zone
        return FOREVER if value.year > 1 else LONG_AGO


def _integer(column: Column, value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | Decimal):
        if value != int(value):
            raise ValueError("a fraction")
        return int(value)
    text = _text(value).strip()
    if not _INTEGER.match(text):
        raise ValueError("not a whole number")
    return int(text.partition(".")[0])


def _boolean(column: Column, value: Any) -> bool | Unreadable:
    if isinstance(value, bool):
        return value
    if isinstance(value, bytes) and len(value) == 1 and value < b"\x02":
        return value == b"\x01"
    if isinstance(value, float | Decimal) and value == int(value):
        value = int(value)
    text = _text(value).strip().casefold()
    if column.true_values:
        return text in {str(item).strip().casefold() for item in column.true_values}
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    return Unreadable(_text(value), 'not a boolean; name the values that mean true, such as true_values = ["active"]')


_READ: dict[str, Callable[[Column, Any], Any]] = {
    "epoch_s": _epoch,
    "epoch_ms": _epoch,
    "timestamp": _timestamp,
    "integer": _integer,
    "boolean": _boolean,
}


def _json(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return _text(value)


def _text(value: Any) -> str:
    """Bytes that are not UTF-8 become lone surrogates, which no text of a store contains, and can be turned back."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", errors="surrogateescape")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**64:
        return str(int(value))  # clients that have one type of numbers store ids as floats
    return value if isinstance(value, str) else str(value)
