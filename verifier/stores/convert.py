"""Conversion between stored values and the logical values that proofs compare."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from verifier.profile.relations import Column


def to_logical(column: Column, value: Any) -> Any:
    """A stored value as its column's logical type; as text where it does not fit that type."""
    if value is None:
        return None
    try:
        match column.type:
            case "epoch_s":
                return datetime.fromtimestamp(float(value), UTC)
            case "epoch_ms":
                return datetime.fromtimestamp(float(value) / 1000, UTC)
            case "timestamp":
                return _aware(value)
            case "integer":
                return int(value)
            case "boolean":
                return _boolean(value)
            case "json":
                return json.loads(value) if isinstance(value, str | bytes) else value
            case "text":
                return _text(value)
    except (ValueError, TypeError, OverflowError, OSError):
        return _text(value)


def to_stored(column: Column, value: Any) -> Any:
    """A logical value in the form that the store compares."""
    if isinstance(value, datetime):
        if column.type == "epoch_s":
            return int(value.timestamp())
        if column.type == "epoch_ms":
            return int(value.timestamp() * 1000)
    return value


def _aware(value: Any) -> Any:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(moment, datetime):
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise TypeError(f"not a time: {type(value).__name__}")


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() in ("1", "t", "true", "yes")
    return bool(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return value if isinstance(value, str) else str(value)
