"""Relations in memory, with the failures of real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from verifier.model.invariant import Row
from verifier.stores.errors import PartialAnswer, StoreError
from verifier.stores.protocols import Completeness


@dataclass
class Table:
    """A relation in memory.

    `finds` decides what a look-up finds, by default equal values. `unanswered`: values about which look-ups say nothing.
    `after_chunk` is called after each chunk of a reading, `before_lookup` before each look-up: the traffic of the stack.
    `account` is what `completeness` answers, None for a source that cannot say. `fails_after` chunks, a reading breaks off.
    """

    rows: list[dict[str, Any]]
    key: tuple[str, ...] = ("id",)
    label: str = "table"
    queries: tuple[str, ...] = ("SELECT …",)
    chunk_rows: int = 10
    finds: Callable[[Any, Any], bool] = lambda stored, wanted: bool(stored == wanted)
    unanswered: frozenset[Any] = frozenset()
    after_chunk: Callable[[Table], None] = lambda table: None
    before_lookup: Callable[[Table], None] = lambda table: None
    fails_after: int | None = None
    readings: int = 0
    lookups: list[tuple[str, list[Any]]] = field(default_factory=list)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """In the order of the list."""
        self.readings += 1
        rows = list(self.rows)
        for count, start in enumerate(range(0, len(rows), self.chunk_rows)):
            if count == self.fails_after:
                raise StoreError("the connection broke")
            yield [dict(row) for row in rows[start : start + self.chunk_rows]]
            self.after_chunk(self)

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The rows with one of these values."""
        self.before_lookup(self)
        self.lookups.append((column, list(values)))
        rows = [dict(row) for row in self.rows if any(self.finds(row[column], value) for value in values)]
        rows = [row for row in rows if all(row[column] != value for value in self.unanswered)]
        silent = [value for value in values if value in self.unanswered]
        if silent:
            raise PartialAnswer(f"{self.label} answered for some ids only", rows, silent)
        return rows


@dataclass
class Counted(Table):
    """A relation whose source says whether its reading was complete. `account` answers; by default it counts the rows."""

    account: Callable[[Counted], Completeness] = lambda table: Completeness(counted=len(table.rows))
    asked: int = 0

    async def completeness(self) -> Completeness:
        """As in `Accountable`."""
        self.asked += 1
        return self.account(self)
