"""Conversion between BSON and logical values, and from conditions to filters."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import CodecOptions, DatetimeMS, Decimal128, ObjectId, Timestamp, json_util
from bson.binary import OLD_UUID_SUBTYPE, Binary, UuidRepresentation
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.max_key import MaxKey
from bson.min_key import MinKey

from verifier.model.invariant import Row
from verifier.model.query import Where
from verifier.model.values import FOREVER, LONG_AGO, Unreadable
from verifier.profile.relations import Column, Relation
from verifier.stores.convert import TIMES, ends_pass, plausible_range, to_logical, to_stored

# A broken string or a date after the year 9999 is a finding, not a crash.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.STANDARD,
    unicode_decode_error_handler="backslashreplace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
JSON_OPTIONS = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED, tz_aware=True, uuid_representation=UuidRepresentation.STANDARD
)

# MongoDB's order of types. A comparison such as $gt stays within one of them.
_BRACKETS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("minKey", (MinKey,)),
    ("null", (type(None),)),
    ("number", (int, float, Decimal128)),
    ("string", (str,)),
    ("object", (dict,)),
    ("binData", (bytes, uuid.UUID)),
    ("objectId", (ObjectId,)),
    ("bool", (bool,)),
    ("date", (datetime, DatetimeMS)),
    ("timestamp", (Timestamp,)),
    ("maxKey", (MaxKey,)),
)
_INT64 = 2**63
_OLD_ORDERS = (
    UuidRepresentation.PYTHON_LEGACY,
    UuidRepresentation.JAVA_LEGACY,
    UuidRepresentation.CSHARP_LEGACY,
)


def types_after(value: Any) -> list[str]:
    """The BSON types that sort after the type of `value`."""
    if isinstance(value, bool):  # a bool is an int in Python, and another type in BSON
        index = [name for name, _ in _BRACKETS].index("bool")
    else:
        index = next((i for i, (_, types) in enumerate(_BRACKETS) if isinstance(value, types)), len(_BRACKETS))
    return [name for name, _ in _BRACKETS[index + 1 :]]


def as_json(value: Any) -> str:
    """Extended JSON, which also has the BSON types that JSON lacks; `from_json` is the inverse."""
    return json_util.dumps(value, json_options=JSON_OPTIONS, ensure_ascii=False)


def from_json(text: str) -> Any:
    """Inverse of `as_json`; raises ValueError."""
    try:
        return json_util.loads(text, json_options=JSON_OPTIONS)
    except (TypeError, KeyError, BSONError, ArithmeticError) as error:
        raise ValueError(str(error)) from None


def logical(column: Column, value: Any) -> Any:
    """A BSON value as a logical value. Ids become text that `stored_forms` converts back."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if column.type in TIMES:
        value = _moment(value)
    if column.type == "boolean" and isinstance(value, dict | list):
        return bool(value)  # a list of connections that is not empty
    if column.type == "json":
        return json.loads(as_json(value)) if isinstance(value, dict | list) else to_logical(column, value)
    if isinstance(value, Binary) and value.subtype == OLD_UUID_SUBTYPE and column.type == "text":
        return Unreadable(
            _plain(value), "a UUID of BSON subtype 3, whose byte order depends on the driver that wrote it"
        )
    if value is None or isinstance(value, str | bool | int | float | datetime):
        return to_logical(column, value)
    return str(value) if isinstance(value, ObjectId | uuid.UUID) else to_logical(column, _plain(value))


def _moment(value: Any) -> Any:
    """The time in a BSON value: of a date outside Python's calendar its end, of an ObjectId when it was made."""
    match value:
        case Timestamp():
            return value.as_datetime()
        case ObjectId():
            return value.generation_time
        case DatetimeMS():
            return FOREVER if int(value) > 0 else LONG_AGO
        case _:
            return value


def is_nan(value: Any) -> bool:
    """Whether a number is NaN, which sorts before all numbers and satisfies no comparison."""
    if isinstance(value, Decimal128):
        return bool(value.to_decimal().is_nan())
    return isinstance(value, float) and math.isnan(value)


def _plain(value: Any) -> Any:
    try:
        return as_json(value)
    except (TypeError, ValueError):
        return str(value)


def dig(document: Any, path: str) -> Any:
    """The value at a dotted path. Through a list, it is the list of its items' values."""
    found = document
    for position, part in enumerate(parts := path.split(".")):
        if isinstance(found, list):
            if not part.isdigit():
                rest = ".".join(parts[position:])
                return [dig(item, rest) for item in found if isinstance(item, dict)]
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, dict) else None
    return found


def to_row(relation: Relation, columns: Iterable[str], document: Mapping[str, Any]) -> Row:
    """A document as a row with these logical columns."""
    mapped = ((name, relation.columns[name]) for name in columns)
    return {name: logical(column, dig(document, column.column)) for name, column in mapped}


def stored_forms(column: Column, value: Any) -> list[Any]:
    """All BSON values that a logical value may be stored as: an id as text may be an ObjectId, a UUID or a number."""
    stored = to_stored(column, value)
    if not isinstance(stored, str):
        return _of_scalar(stored)
    forms: list[Any] = [stored]
    if stored in ("True", "False"):
        forms.append(stored == "True")
    if ObjectId.is_valid(stored):
        forms.append(ObjectId(stored))
    for parse in (uuid.UUID, _int64, _float, _decimal, datetime.fromisoformat, _nested):
        try:
            forms.append(parse(stored))
        except ValueError:
            continue
    return [form for form in forms if form is not None] + _old_uuids(forms)


def _old_uuids(forms: Sequence[Any]) -> list[Binary]:
    """A UUID in the byte orders of old drivers. A document that is found so is not taken for another id, nor for none: it is
    unreadable."""
    found = (form for form in forms if isinstance(form, uuid.UUID))
    return [Binary.from_uuid(value, order) for value in found for order in _OLD_ORDERS]


def _int64(text: str) -> int:
    number = int(text)
    if not -_INT64 <= number < _INT64:
        raise ValueError("does not fit 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text)
    if text.lstrip("-").isdigit() and int(number) != int(text):
        raise ValueError("has more digits than a float")
    return number


def _decimal(text: str) -> Decimal128:
    try:
        return Decimal128(text)
    except ArithmeticError as error:
        raise ValueError(str(error)) from None


def _nested(text: str) -> Any:
    if not text.startswith(("{", "[")):
        raise ValueError("not a document")
    return from_json(text)


def _of_scalar(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [value, int(value)]
    if isinstance(value, int):
        return [value, str(value)] if -_INT64 <= value < _INT64 else [str(value)]
    return [value, str(value)] if isinstance(value, uuid.UUID) else [value]


def condition(column: Column, where: Where) -> dict[str, Any]:
    """A filter that passes at least what `where` accepts; the caller applies `Where.accepts` to the result.

    A comparison in MongoDB stays within one BSON type. Values of other types pass the filter, and so do times that are not
    plausible: the caller converts them, or counts them as unreadable.
    """
    field = column.column
    match where.op:
        case "is null":
            return {field: None} if column.type not in TIMES else {"$or": [{field: None}, _other_than(field, "date")]}
        case "not null" | "!=":
            return {} if ends_pass(column, where.op) else {field: {"$ne": None}}
        case "=":
            return _any_of(column, [where.value])
        case "in":
            return _any_of(column, where.value)
        case operator:
            return _compared(column, operator, to_stored(column, where.value))


_COMPARE = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}


def _compared(column: Column, operator: str, stored: Any) -> dict[str, Any]:
    field = column.column
    bracket = next((name for name, types in _BRACKETS if isinstance(stored, types)), "object")
    if isinstance(stored, bool):
        bracket = "bool"
    passing = [{field: {_COMPARE[operator]: stored}}, _other_than(field, bracket)]
    if bracket == "number":
        passing.append({field: math.nan})
    if (bounds := plausible_range(column)) is not None:
        passing += [{field: {"$lt": bounds[0]}}, {field: {"$gt": bounds[1]}}]
    if ends_pass(column, operator):
        passing.append({field: None})
    return {"$or": passing}


def _other_than(field: str, bracket: str) -> dict[str, Any]:
    """The values of all other BSON types, without NULL."""
    return {field: {"$ne": None, "$not": {"$type": bracket}}}


def _any_of(column: Column, values: Sequence[Any]) -> dict[str, Any]:
    field = column.column
    among = {field: {"$in": [form for value in values for form in stored_forms(column, value)]}}
    return among if column.type == "text" else {"$or": [among, {field: {"$type": "string"}}]}


def accepted(conditions: Iterable[Where], row: Row) -> bool:
    """Whether a row passes all conditions. A value that cannot be read passes, and the proof counts it.

    Raises TypeError for a column whose declared type cannot be compared with the value of a condition.
    """
    return all(where.accepts(row[where.column]) for where in conditions)
