"""Matchers: functions that return what is wrong with a value, or None. They never fail a test; `must` does.

    must.match(push, match.at("type", match.equal("otp")), match.at("body", match.has("text")))

A matcher is any function from a value to an error text or None, so a test can define others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any

Matcher = Callable[[Any], str | None]

_SHOWN = 300


def shown(value: object) -> str:
    """The form of a value in error messages, limited in length."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def equal(expected: object) -> Matcher:
    """Equal to `expected`."""
    return lambda value: None if value == expected else f"expected {shown(expected)}, got {shown(value)}"


def one_of(*expected: object) -> Matcher:
    """Equal to one of these."""
    return lambda value: None if value in expected else f"expected one of {shown(expected)}, got {shown(value)}"


def at_least(least: float) -> Matcher:
    """A number not below `least`."""
    return lambda value: None if value >= least else f"expected at least {least}, got {shown(value)}"


def has(part: object) -> Matcher:
    """A text, list or mapping that contains `part`."""
    return lambda value: None if part in value else f"{shown(part)} is not in {shown(value)}"


def lacks(part: object) -> Matcher:
    """A text, list or mapping that does not contain `part`."""
    return lambda value: None if part not in value else f"{shown(part)} is in {shown(value)}"


def length(expected: int) -> Matcher:
    """Exactly `expected` items."""

    def judge(value: Sized) -> str | None:
        return None if len(value) == expected else f"expected {expected} items, got {len(value)}: {shown(value)}"

    return judge


def at(path: str, *matchers: Matcher) -> Matcher:
    """The value at a dotted path (keys and list indexes) satisfies all `matchers`."""

    def judge(value: Any) -> str | None:
        for step in path.split("."):
            try:
                value = value[int(step)] if isinstance(value, Sequence) else value[step]
            except (KeyError, IndexError, TypeError, ValueError):
                return f"{path}: there is no {step!r} in {shown(value)}"
        error = every_of(*matchers)(value)
        return None if error is None else f"{path}: {error}"

    return judge


def every_of(*matchers: Matcher) -> Matcher:
    """All matchers are satisfied. The first error is returned."""
    return lambda value: next((error for matcher in matchers if (error := matcher(value)) is not None), None)


def each(*matchers: Matcher) -> Matcher:
    """Every item satisfies all matchers, and there is at least one."""

    def judge(value: Iterable[Any]) -> str | None:
        count = 0
        for count, item in enumerate(value, 1):
            if (error := every_of(*matchers)(item)) is not None:
                return f"item {count}: {error}"
        return None if count else "there are no items at all"

    return judge


def some(*matchers: Matcher) -> Matcher:
    """At least one item satisfies all matchers. Otherwise the last item's error is returned."""

    def judge(value: Iterable[Any]) -> str | None:
        last: str | None = "there are no items"
        for item in value:
            if (last := every_of(*matchers)(item)) is None:
                return None
        return f"no item matches; the last one: {last}"

    return judge


def none(*matchers: Matcher) -> Matcher:
    """No item satisfies all matchers."""

    def judge(value: Iterable[Any]) -> str | None:
        found = next((item for item in value if every_of(*matchers)(item) is None), None)
        return None if found is None else f"an item that must not be there: {shown(found)}"

    return judge


def fields(**expected: object) -> Matcher:
    """A mapping in which these keys have these values. Other keys are ignored."""

    def judge(value: Mapping[str, Any]) -> str | None:
        return every_of(*(at(name, equal(wanted)) for name, wanted in expected.items()))(value)

    return judge
