"""Finding records a second time, by their own typed keys.

A suspect whose record is not found again has healed only if a look-up by that key is known to work: it found the record when it
became a suspect. Where it did not (a key that is NULL, or that the store compares in another form), the relation is read
again instead. What neither way can decide is unresolved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.proofs.lookups import LOOKUP_BATCH
from verifier.proofs.matching import key_text
from verifier.stores.errors import PartialAnswer
from verifier.stores.protocols import Source

REREAD_MAX = 1_000_000
"""A relation with more records is not read a second time."""

CONTROLS = 5
"""How many records are looked up to see whether look-ups work."""

Key = tuple[Any, ...]
KeyText = tuple[str | None, ...]


def key_of(source: Source, row: Row) -> Key:
    """The values of a record's key columns, with their types."""
    return tuple(row[name] for name in source.key)


def text_of(key: Key) -> KeyText:
    """A key as text: what identifies a record within its relation, and what a checkpoint or `recheck` stores."""
    return tuple(key_text(value) for value in key)


def key_from(raw_key: str) -> KeyText:
    """The key in the raw key of a finding."""
    return tuple(json.loads(raw_key)[1:])


class Again:
    """Looks records of one source up by their keys. `silent`: the keys that the last look-up was not answered for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.silent: set[KeyText] = set()

    async def look_up(self, keys: Iterable[Key]) -> list[Row]:
        """The records with these keys, as they are now."""
        wanted = {text_of(key): key for key in keys}
        self.silent = set()
        by_column: dict[str, dict[KeyText, Any]] = {}
        for text, key in wanted.items():
            # NULL equals nothing, so a key is looked up by its first column that has a value.
            column = next((index for index, value in enumerate(key) if value is not None), None)
            if column is not None:
                by_column.setdefault(self._source.key[column], {})[text] = key[column]
        rows: list[Row] = []
        for name, values in by_column.items():
            unique = list({key_text(value): value for value in values.values()}.values())
            for start in range(0, len(unique), LOOKUP_BATCH):
                rows += await self._ask(name, unique[start : start + LOOKUP_BATCH], values)
        return [row for row in rows if text_of(key_of(self._source, row)) in wanted]

    async def _ask(self, column: str, batch: Sequence[Any], values: dict[KeyText, Any]) -> Sequence[Row]:
        try:
            return await self._source.lookup(column, batch)
        except PartialAnswer as partial:
            silent = {key_text(value) for value in partial.unanswered}
            self.silent |= {text for text, value in values.items() if key_text(value) in silent}
            return partial.rows
        except UnicodeEncodeError:
            if len(batch) == 1:
                return []  # bytes that this store cannot be asked for: the relation is read again
            found: list[Row] = []
            for value in batch:
                found += await self._ask(column, [value], values)
            return found

    async def works(self, key: Key) -> bool:
        """Whether look-ups by key find records at all: some that were just read are looked up."""
        if any(value is None for value in key):
            return False
        async for chunk in self._source.chunks():
            if chunk:
                wanted = {text_of(key_of(self._source, row)) for row in chunk[:CONTROLS]}
                found = await self.look_up(wanted)
                return wanted <= {text_of(key_of(self._source, row)) for row in found}
        return True

    async def read_again(self, keys: Iterable[KeyText]) -> list[Row]:
        """The records with these keys, by reading the whole relation."""
        wanted = set(keys)
        rows: list[Row] = []
        async for chunk in self._source.chunks():
            rows += [row for row in chunk if text_of(key_of(self._source, row)) in wanted]
        return rows
