"""Reading OpenIM's answers strictly. What has another form than the route's is no answer, and is never taken for "absent"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from verifier.model.invariant import Row

Item = Mapping[str, Any]


class StrangeAnswer(Exception):
    """An answer of another form than the route's, or one that contradicts itself. The message is part of a sentence."""


@dataclass(slots=True)
class Answered:
    """The result of a look-up: the records, and for each value without an answer the reason."""

    rows: list[Row] = field(default_factory=list)
    unanswered: dict[str, str] = field(default_factory=dict)

    def add(self, other: Answered) -> None:
        """Include the result of another look-up."""
        self.rows += other.rows
        self.unanswered |= other.unanswered


@dataclass(slots=True)
class Named:
    """The items of a list by the id that each names.

    `doubtful`: ids that were named twice with different contents. `others`: whether ids were named that were not asked for, so
    that the answer may belong to another question.
    """

    items: dict[str, Item] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    others: bool = False

    def missing(self, ids: Iterable[str]) -> list[str]:
        """The ids that no item names."""
        return [name for name in ids if name not in self.items and name not in self.doubtful]


def named(items: Iterable[Any], key: str, ids: Iterable[str]) -> Named:
    """Sort items by the id in `key`. What is no object, or names no id, answers nothing."""
    wanted, found = set(ids), Named()
    for item in items:
        name = item.get(key) if isinstance(item, Mapping) else None
        if not isinstance(name, str) or name not in wanted:
            found.others = True
        elif found.items.setdefault(name, item) != item:
            found.doubtful.add(name)
    for name in found.doubtful:
        del found.items[name]
    return found


def mapping(data: Any) -> Item:
    """`data` as an object; one that is absent or null is empty [F4]."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise StrangeAnswer("data is no object")
    return data


def listed(data: Any, name: str) -> Sequence[Any]:
    """A list in `data`; one that is absent or null is empty [F5]."""
    found = mapping(data).get(name)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise StrangeAnswer(f"{name} is no list")
    return found


def texts(data: Any, name: str) -> list[str]:
    """A list of texts in `data`, each once."""
    found = listed(data, name)
    if not all(isinstance(item, str) for item in found):
        raise StrangeAnswer(f"{name} has something other than ids")
    if len(set(found)) != len(found):
        raise StrangeAnswer(f"{name} has an id twice")
    return list(found)


def text(item: Item, name: str) -> str:
    """A text of an item."""
    value = item.get(name)
    if not isinstance(value, str):
        raise StrangeAnswer(f"{name} is no text")
    return value


def number(item: Item, name: str) -> int:
    """An integer of an item. A number in quotes is none: nothing shows what else was changed on the way."""
    value = item.get(name)
    if type(value) is not int:
        raise StrangeAnswer(f"{name} is no number")
    return value


def boolean(item: Item, name: str) -> bool:
    """A boolean of an item."""
    value = item.get(name)
    if not isinstance(value, bool):
        raise StrangeAnswer(f"{name} is neither true nor false")
    return value


def time_ms(item: Item, name: str) -> datetime:
    """A time of an item, in Unix milliseconds [F6]."""
    try:
        return datetime.fromtimestamp(number(item, name) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise StrangeAnswer(f"{name} is no time") from None
