"""Look-ups of many values at once: which records belong to which value, and which values nobody answered for.

A store returns the records of a batch together. Each is given to the value that it has. Where a store treats different texts as
equal (padding, case, spelling of a number), the store itself is asked for the single value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from verifier.model.invariant import Row
from verifier.proofs.matching import differ_in_case, exact, plausible
from verifier.stores.errors import PartialAnswer
from verifier.stores.protocols import Source

LOOKUP_BATCH = 500
ASKED_ALONE_MAX = 20


@dataclass(frozen=True, slots=True)
class Home:
    """A relation in which records are looked up by one column. `hides`: it may have records that it does not show."""

    source: Source
    column: str
    hides: bool = False


@dataclass(slots=True)
class Found:
    """What is known of one value.

    `unanswered`: why a store said nothing about it, in words; "" if all answered. `perhaps_hidden`: a home that hides records
    showed none.
    """

    rows: tuple[Row, ...] = ()
    unanswered: str = ""
    perhaps_hidden: bool = False

    def add(self, other: Found) -> None:
        """Join what another look-up found for the same record."""
        self.rows = (*self.rows, *other.rows)
        self.unanswered = self.unanswered or other.unanswered
        self.perhaps_hidden = self.perhaps_hidden or other.perhaps_hidden


Agrees = Callable[[Any, Any], Awaitable[bool]]
"""Whether the store that a value comes from treats it and another one as equal."""


async def look_up(wanted: Sequence[Any], homes: Iterable[Home], agrees: Agrees | None = None) -> list[Found]:
    """For each value, the records of all homes with that value. None has no record.

    A record whose value differs in the case of letters counts only if `agrees`; without `agrees`, the home decides alone.
    """
    found = [Found() for _ in wanted]
    values = {exact(value): value for value in wanted if value is not None}
    for home in homes:
        answers: dict[Hashable, Found] = {}
        keys = list(values)
        for start in range(0, len(keys), LOOKUP_BATCH):
            batch = await _batch(home, {key: values[key] for key in keys[start : start + LOOKUP_BATCH]})
            if agrees is not None:
                await _keep_case(home, batch, values, agrees)
            answers |= batch
        for value, item in zip(wanted, found, strict=True):
            if value is not None:
                item.add(answers[exact(value)])
    return found


async def _keep_case(home: Home, batch: dict[Hashable, Found], values: dict[Hashable, Any], agrees: Agrees) -> None:
    for key, item in batch.items():
        kept = [row for row in item.rows if await _same_case(values[key], row[home.column], agrees)]
        if len(kept) < len(item.rows):
            batch[key] = Found(tuple(kept), item.unanswered, home.hides and not kept)


async def _same_case(value: Any, there: Any, agrees: Agrees) -> bool:
    for item in _values_of(there):
        if plausible(item) == plausible(value) and (not differ_in_case(value, item) or await agrees(value, item)):
            return True
    return False


async def _batch(home: Home, values: dict[Hashable, Any]) -> dict[Hashable, Found]:
    rows, silent = await _ask(home, list(values.values()))
    sorting = _Sorting(values)
    for row in rows:
        present = _values_of(row[home.column])
        for there in [item for item in present if exact(item) in values] or present:
            sorting.put(there, row)
    for key in sorting.unclear() - silent.keys():
        alone, still_silent = await _ask(home, [values[key]])
        silent |= still_silent
        sorting.matching[key] = [
            row
            for row in alone
            if any(plausible(item) == plausible(values[key]) for item in _values_of(row[home.column]))
        ]
        if len(alone) > len(sorting.matching[key]):
            silent[key] = f"{home.source.label} treats values as equal that differ elsewhere"
    for key in sorting.not_asked:
        silent[key] = f"{home.source.label} treats values as equal that differ elsewhere"
    matching = sorting.matching
    return {key: Found(tuple(matching[key]), silent.get(key, ""), home.hides and not matching[key]) for key in values}


class _Sorting:
    """Gives the records of one batch to the values that were asked for."""

    def __init__(self, values: dict[Hashable, Any]) -> None:
        self.matching: dict[Hashable, list[Row]] = {key: [] for key in values}
        self.not_asked: frozenset[Hashable] = frozenset()
        self._doubtful: set[Hashable] = set()
        self._stray = False
        self._wider: dict[Hashable, list[Hashable]] = {}
        for key, value in values.items():
            self._wider.setdefault(plausible(value), []).append(key)
        self._as_numbers = {number for value in values.values() if (number := _other_number(value))}

    def put(self, there: Any, row: Row) -> None:
        """A record that was returned, with its value in the column."""
        key, alike = exact(there), self._wider.get(plausible(there), [])
        if key in self.matching:
            self.matching[key].append(row)
            self._doubtful.update(other for other in alike if other != key)
        elif len(alike) == 1:
            self.matching[alike[0]].append(row)  # returned for one of the values, and no other one resembles it
        elif alike:
            self._doubtful.update(alike)
        elif key not in self._as_numbers:
            self._stray = True

    def unclear(self) -> set[Hashable]:
        """The values for which the store must be asked alone. Where there are too many, the rest is `not_asked`."""
        unclear = set(self._doubtful)
        if self._stray:
            without = [key for key, rows in self.matching.items() if not rows and key not in unclear]
            unclear.update(without[:ASKED_ALONE_MAX])
            self.not_asked = frozenset(without[ASKED_ALONE_MAX:])
        return unclear


def _values_of(value: Any) -> Sequence[Any]:
    """The values by which a record is found: those of an array, otherwise the value."""
    return value if isinstance(value, list | tuple) else (value,)


def _other_number(value: Any) -> str:
    """The number that a store reads from a text such as `007`; "" for other texts. Where the text comes from, it differs from
    the number, so the number's record is not its partner."""
    try:
        return str(int(value)) if isinstance(value, str) else ""
    except ValueError:
        return ""


async def _ask(home: Home, values: Sequence[Any]) -> tuple[list[Row], dict[Hashable, str]]:
    """The records of some values, and the values that were not answered, each with the reason."""
    try:
        return list(await home.source.lookup(home.column, values)), {}
    except PartialAnswer as partial:
        return list(partial.rows), {exact(value): str(partial) for value in partial.unanswered}
    except UnicodeEncodeError:
        # Bytes that are not UTF-8, which a store of text cannot be asked for.
        odd = [value for value in values if isinstance(value, str) and not _encodes(value)]
        if not odd:
            raise
        rest = [value for value in values if value not in odd]
        rows, silent = await _ask(home, rest) if rest else ([], {})
        reason = f"{home.source.label} cannot be asked for bytes that are not UTF-8"
        return rows, silent | {exact(value): reason for value in odd}


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
