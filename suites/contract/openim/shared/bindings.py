"""Binding recorded values, such as ids, tokens and users, to the values of a replay."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

RECORDED_ADMIN, RECORDED_SECRET = "imAdmin", "openIM123"
"""The administrator and the secret of the recorded server."""
_ALPHABET = string.ascii_lowercase + string.digits


def fresh_prefix() -> str:
    """A prefix for ids that no earlier run has used, so that a server can be replayed to again."""
    return f"q{''.join(secrets.choice(_ALPHABET) for _ in range(6))}_"


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with each of its strings changed, at any depth, the keys of objects included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_strings(one, change) for one in value]
    if isinstance(value, dict):
        return {change(key): map_strings(one, change) for key, one in value.items()}
    return value


def replacer(replacements: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces each occurrence of a key with its value, longer keys first."""
    if not replacements:
        return lambda text: text
    pattern = re.compile("|".join(re.escape(one) for one in sorted(replacements, key=len, reverse=True)))
    return lambda text: pattern.sub(lambda found: replacements[found[0]], text)


class Bindings:
    """Recorded values and the values of a replay.

    Attributes:
        actual: recorded value -> value of the replay.
        recorded: value of the replay -> recorded value.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.actual: dict[str, str] = {}
        self.recorded: dict[str, str] = {}
        for recorded, actual in (values or {}).items():
            self.assign(recorded, actual)

    def bind(self, recorded: str, actual: str) -> bool:
        """Bind two values to each other. Returns False, and changes nothing, if one is bound to another value already."""
        if recorded in self.actual:
            return self.actual[recorded] == actual
        if self.recorded.get(actual, recorded) != recorded:
            return False
        self.assign(recorded, actual)
        return True

    def assign(self, recorded: str, actual: str) -> None:
        """Bind `recorded` to `actual`, even if it is bound already."""
        earlier = self.actual.get(recorded)
        if earlier is not None and self.recorded.get(earlier) == recorded:
            del self.recorded[earlier]
        self.actual[recorded], self.recorded[actual] = actual, recorded

    def fill(self, value: Any) -> Any:
        """A recorded JSON value with everything replaced that is bound so far."""
        return map_strings(value, self.fill_text)

    def fill_text(self, text: str) -> str:
        """The same for one string."""
        return replacer(self.actual)(text)
