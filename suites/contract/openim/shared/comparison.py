"""Comparing a recorded JSON value with an actual one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_MAX_SHOWN = 300


def shown(value: Any) -> str:
    """A value as JSON, shortened to 300 characters."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


class Comparison:
    """Compares values exactly, types included. Subclasses override a method for each kind of value that may differ."""

    def differences(self, recorded: Any, actual: Any, path: str = "$", key: str = "") -> Iterator[str]:
        """Each difference as a sentence.

        Args:
            path: where in the answer the two values are, as a JSON path.
            key: the recorded name of the member that holds them; "" for a list entry.
        """
        special = self.special(recorded, actual, path)
        if special is not None:
            yield from special
        elif isinstance(recorded, dict) and isinstance(actual, dict):
            yield from self.objects(recorded, actual, path)
        elif isinstance(recorded, list) and isinstance(actual, list):
            if len(recorded) != len(actual):
                yield f"{path} has {len(actual)} entries, recorded {len(recorded)}: {shown(actual)}"
            for index, (one, other) in enumerate(self.pairs(recorded, actual, key)):
                yield from self.differences(one, other, f"{path}[{index}]")
        elif type(recorded) is not type(actual):
            yield self.unequal(recorded, actual, path)
        else:
            yield from self.scalars(recorded, actual, path, key)

    def special(self, recorded: Any, actual: Any, path: str) -> Iterator[str] | None:
        """The differences of a recorded value in a special form; None for ordinary values."""
        return None

    def filled(self, recorded: Any) -> Any:
        """A recorded value with the values of this run in it."""
        return recorded

    def objects(self, recorded: dict[str, Any], actual: dict[str, Any], path: str) -> Iterator[str]:
        """Missing members, additional ones, and the differences of the others."""
        expected = {self.filled(name): (name, value) for name, value in recorded.items()}
        for name, (_, value) in expected.items():
            if name not in actual:
                yield f"{path}.{name} is missing; recorded {shown(self.filled(value))}"
        for name, value in actual.items():
            if name not in expected:
                yield f"{path}.{name} = {shown(value)} was not recorded"
        for name, (recorded_name, value) in expected.items():
            if name in actual:
                yield from self.differences(value, actual[name], f"{path}.{name}", recorded_name)

    def pairs(self, recorded: list[Any], actual: list[Any], key: str) -> list[tuple[Any, Any]]:
        """The entries of two lists that are compared with each other."""
        return list(zip(recorded, actual, strict=False))

    def scalars(self, recorded: Any, actual: Any, path: str, key: str) -> Iterator[str]:
        """The difference of two values of one type, neither objects nor lists."""
        if self.filled(recorded) != actual:
            yield self.unequal(recorded, actual, path)

    def unequal(self, recorded: Any, actual: Any, path: str) -> str:
        """The sentence about two values that are not equal."""
        return f"{path} = {shown(actual)}, recorded {shown(self.filled(recorded))}"
