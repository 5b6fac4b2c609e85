"""Values of PostgreSQL: how they are read, the text form that finds a record again, and the zone of naive timestamps.

No value of a row makes its reading fail. What Python cannot represent is read as the server's text.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader

from verifier.model.values import FOREVER, LONG_AGO
from verifier.profile.relations import Column
from verifier.profile.zones import zone_of
from verifier.stores.convert import to_logical

BOOL, BYTEA, CHAR, NAME, INT8, INT2, INT4, TEXT, OID = 16, 17, 18, 19, 20, 21, 23, 25, 26
JSON, XML, FLOAT4, FLOAT8, UNKNOWN, BPCHAR, VARCHAR = 114, 142, 700, 701, 705, 1042, 1043
DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC, UUID = 1082, 1114, 1184, 1700, 2950
TIME, INTERVAL, TIMETZ, INET, CIDR = 1083, 1186, 1266, 869, 650
TEXTS = frozenset({TEXT, VARCHAR, BPCHAR, NAME, CHAR, UNKNOWN})
TIMES = frozenset({DATE, TIMESTAMP, TIMESTAMPTZ})
PLAIN = TEXTS | TIMES | {BOOL, BYTEA, INT8, INT2, INT4, OID, FLOAT4, FLOAT8, NUMERIC, UUID}
"""Types whose values a column of logical type text has in Python's form. Others are read as the server's text."""
RECORD = 2249
NO_EQUALITY = frozenset({JSON, XML, RECORD, 600, 601, 602, 603, 604, 628, 718, 4072})
"""json, xml, row types, jsonpath and the geometric types: they have no equality, no order or no literal, and are compared as
text."""
_BOUNDS = {INT2: 2**15, INT4: 2**31, INT8: 2**63}
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "on", "1"}), frozenset({"false", "f", "no", "n", "off", "0"})
_FAR_TEXT = re.compile(r"-?infinity\Z|\d{4,}-\d\d-\d\d(?: [\d:.]+(?:\+00)?)?(?: BC)?\Z")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


class _LenientText(Loader):
    """Loads text that need not be valid UTF-8: a broken nickname is a finding, not a crash."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", errors="backslashreplace")


class _Padded(_LenientText):
    """Loads `char(n)` without the blanks that fill it up; they have no meaning in comparisons."""

    def load(self, data: Buffer) -> str:
        return super().load(data).rstrip(" ")


class _Moment(Loader):
    """Loads a time in ISO form; the server's text for a time that Python does not have."""

    def load(self, data: Buffer) -> datetime | str:
        text = bytes(data).decode()
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return text


class _Date(Loader):
    """Loads a date; the server's text for one that Python does not have."""

    def load(self, data: Buffer) -> date | str:
        text = bytes(data).decode()
        try:
            return date.fromisoformat(text)
        except ValueError:
            return text


def register_loaders(context: AdaptContext) -> None:
    """Set how a connection reads values. 0 stands for types that the driver does not know, such as an enum or citext."""
    adapters = context.adapters
    for oid in (*TEXTS, XML, TIME, TIMETZ, INTERVAL, INET, CIDR, 0):
        adapters.register_loader(oid, _LenientText)
    adapters.register_loader(BPCHAR, _Padded)
    adapters.register_loader(TIMESTAMP, _Moment)
    adapters.register_loader(TIMESTAMPTZ, _Moment)
    adapters.register_loader(DATE, _Date)


def logical(column: Column, value: Any, default_zone: str | None = None) -> Any:
    """A value as its column's logical type. A naive timestamp is in the zone of its column, or in `default_zone`."""
    if isinstance(value, bytes | memoryview):
        value = _readable(bytes(value))
    if column.type == "timestamp":
        if isinstance(value, str) and _FAR_TEXT.match(value):
            value = _far(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone follows
        if isinstance(value, datetime) and value.tzinfo is None:
            value = _in_utc(value, zone_of(column.zone or default_zone or "UTC"))
    return to_logical(column, value)


def _far(text: str) -> datetime | str:
    if text.startswith("-") or text.endswith("BC"):
        return LONG_AGO
    if text == "infinity" or len(text.partition("-")[0]) > 4:
        return FOREVER
    return text


def _in_utc(value: datetime, zone: tzinfo) -> datetime:
    try:
        return value.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:  # within a day of the first or last time
        return value.replace(tzinfo=UTC)


def naive(moment: datetime, zone: str | None) -> datetime:
    """A time as a column without a zone holds it."""
    try:
        return moment.astimezone(zone_of(zone or "UTC")).replace(tzinfo=None)
    except OverflowError:
        return moment.replace(tzinfo=None)


def _readable(value: bytes) -> str:
    """Bytes as text if they are text, otherwise in the server's form, `\\x…`."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "\\x" + value.hex()
    return text if text.isprintable() else "\\x" + value.hex()


def forms(oid: int, column: Column, value: Any, default_zone: str | None = None) -> list[str]:
    """The texts that the server reads as this logical value in a column of type `oid`; none for one that does not fit.

    Several where the logical value does not say which stored value it came from.
    """
    if isinstance(value, datetime) and column.type in ("epoch_s", "epoch_ms"):
        return _epoch(oid, value, 1 if column.type == "epoch_s" else 1000)
    try:
        found = _FORMS.get(oid, _any_text)(column.zone or default_zone, oid, value)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        return []
    return [text for text in found if _can_be_sent(text)]


def _can_be_sent(text: str) -> bool:
    """A server's text has no NUL, and half of a surrogate pair is no text."""
    return "\x00" not in text and text.encode("utf-8", "ignore").decode() == text


def _epoch(oid: int, moment: datetime, per_s: int) -> list[str]:
    """Exact: a float of milliseconds is one too small for some of them."""
    past = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    exact = Decimal(past) * per_s / 1_000_000
    text = f"{exact:f}".rstrip("0").rstrip(".") if exact != exact.to_integral() else str(int(exact))
    return [text] if oid not in _BOUNDS or "." not in text else []


def _any_text(_zone: str | None, _oid: int, value: Any) -> list[str]:
    return [value if isinstance(value, str) else str(value)]


def _whole(_zone: str | None, oid: int, value: Any) -> list[str]:
    whole = _WHOLE.fullmatch(value) if isinstance(value, str) else isinstance(value, int) or value == int(value)
    number, bound = int(value) if whole else None, _BOUNDS[oid]
    return [str(number)] if number is not None and -bound <= number < bound else []


def _oid(_zone: str | None, _type: int, value: Any) -> list[str]:
    return [str(int(value))] if 0 <= int(value) < 2**32 else []


def _numeric(_zone: str | None, _oid: int, value: Any) -> list[str]:
    number = Decimal(str(value).strip())
    if number.is_snan():
        return []
    return [str(number) if number.is_finite() else str(number).replace("nan", "NaN")]


def _float(_zone: str | None, oid: int, value: Any) -> list[str]:
    number = float(value)
    largest = 3.4028235e38 if oid == FLOAT4 else float("inf")
    if abs(number) == float("inf"):
        return [str(number)] if "inf" in str(value).lower() else []
    return [str(value)] if number != number or abs(number) <= largest else []


def _flag(_zone: str | None, _oid: int, value: Any) -> list[str]:
    text = str(value).strip().lower()
    return ["true"] if text in _TRUE else ["false"] if text in _FALSE else []


def _uuid(_zone: str | None, _oid: int, value: Any) -> list[str]:
    return [str(uuid.UUID(str(value)))]


def _bytes(_zone: str | None, _oid: int, value: Any) -> list[str]:
    text = str(value) if not isinstance(value, bytes) else _readable(value)
    candidates = [text.encode(errors="surrogatepass"), _ESCAPED.sub(_byte, text.encode(errors="surrogatepass"))]
    if re.fullmatch(r"\\x(?:[0-9a-fA-F]{2})*", text):
        candidates.append(bytes.fromhex(text[2:]))
    return ["\\x" + item.hex() for item in dict.fromkeys(candidates)]


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match.group(1).decode())


def _moment(zone: str | None, oid: int, value: Any) -> list[str]:
    if isinstance(value, str) and _FAR_TEXT.match(value) and _far(value) is not value:
        return [value]
    if value == FOREVER or str(value) == str(FOREVER):
        return ["infinity"]
    if value == LONG_AGO or str(value) == str(LONG_AGO):
        return ["-infinity"]
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if oid == TIMESTAMPTZ:
        return [(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat(" ")]
    local = naive(moment, zone) if moment.tzinfo else moment
    if oid == TIMESTAMP:
        return [local.isoformat(" ")]
    return [local.date().isoformat()] if local.time() == datetime.min.time() else []


_FORMS: dict[int, Callable[[str | None, int, Any], list[str]]] = {
    **dict.fromkeys((INT2, INT4, INT8), _whole),
    OID: _oid,
    NUMERIC: _numeric,
    **dict.fromkeys((FLOAT4, FLOAT8), _float),
    BOOL: _flag,
    UUID: _uuid,
    BYTEA: _bytes,
    **dict.fromkeys((DATE, TIMESTAMP, TIMESTAMPTZ), _moment),
}


def array_literal(texts: Sequence[str]) -> str:
    """An array as the server reads it. As an untyped literal it takes the type of the column that it is compared with."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
