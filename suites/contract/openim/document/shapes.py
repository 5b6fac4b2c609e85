"""Shapes of JSON values, collected from examples: types, keys, which keys are always present, and whether null occurs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# Objects whose keys are data: conversation ids, days, setting names, group ids.
MAPS = frozenset("maxSeqs minSeqs msgs notificationMsgs seqs count dateCount configs respList options".split())
_KINDS: dict[type, str] = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"}
# The symbols of a recording for texts that are too long or encoded.
_TEXT_SYMBOLS = {"$base64_json", "$string"}


@dataclass
class Shape:
    """The examples of one path. `seen` counts the objects, `present` in how many of them a key is present."""

    kinds: set[str] = field(default_factory=set)
    fields: dict[str, Shape] = field(default_factory=dict)
    present: dict[str, int] = field(default_factory=dict)
    seen: int = 0
    items: Shape | None = None
    values: Shape | None = None

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all examples."""
        return frozenset(self.fields)

    @property
    def required(self) -> list[str]:
        """The keys that are in every example, in the order of the answers."""
        return [key for key in self.fields if self.present[key] == self.seen]

    def add(self, value: Any, name: str = "") -> None:
        """Add an example; `name` is its key."""
        if isinstance(value, dict) and len(value) == 1:
            ((symbol, detail),) = value.items()
            if symbol in _TEXT_SYMBOLS:
                value = ""
            elif symbol == "$truncated_list":
                value = [*detail["first"], *detail["last"]]
        if isinstance(value, dict):
            self._add_object(value, is_map=name in MAPS)
        elif isinstance(value, list):
            self.kinds.add("array")
            for one in value:
                self.items = self.items or Shape()
                self.items.add(one)
        else:
            self.kinds.add(_KINDS[type(value)])

    def _add_object(self, value: dict[str, Any], *, is_map: bool) -> None:
        self.kinds.add("object")
        if is_map:
            self.values = self.values or Shape()
            for one in value.values():
                self.values.add(one)
            return
        self.seen += 1
        for key, one in value.items():
            if "{P}" in key or "<" in key:
                raise ValueError(f"{key!r} is data and not the name of a field: add the name of its map to MAPS")
            self.fields.setdefault(key, Shape()).add(one, key)
            self.present[key] = self.present.get(key, 0) + 1

    def merge(self, other: Shape) -> None:
        """Add all examples of another shape."""
        self.kinds |= other.kinds
        self.seen += other.seen
        for key, shape in other.fields.items():
            self.fields.setdefault(key, Shape()).merge(shape)
            self.present[key] = self.present.get(key, 0) + other.present[key]
        for name in ("items", "values"):
            theirs: Shape | None = getattr(other, name)
            if theirs is not None:
                mine: Shape = getattr(self, name) or Shape()
                mine.merge(theirs)
                setattr(self, name, mine)

    def walk(self, path: str = "") -> Iterator[tuple[str, Shape]]:
        """(path, shape) of this shape and all inside it, with paths such as `data.users[].userID` and `data.maxSeqs{}`."""
        yield path, self
        for key, shape in self.fields.items():
            yield from shape.walk(f"{path}.{key}".lstrip("."))
        if self.items is not None:
            yield from self.items.walk(f"{path}[]")
        if self.values is not None:
            yield from self.values.walk(f"{path}{{}}")
