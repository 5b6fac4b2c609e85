"""Changing the texts within JSON values, and nothing else of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The value with each of its texts changed, at any depth, the names of its members included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [each_text(one, change) for one in value]
    if isinstance(value, dict):
        return {change(key): each_text(one, change) for key, one in value.items()}
    return value
