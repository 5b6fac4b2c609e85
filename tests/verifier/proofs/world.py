"""Relations in memory for the tests of proofs, with the failures of real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from verifier.model.invariant import Phase, Row, Severity
from verifier.model.query import Rows
from verifier.model.verdict import Judgement
from verifier.profile import Profile, parse_profile
from verifier.proofs.context import Context
from verifier.proofs.scope import Scope
from verifier.stores.errors import PartialAnswer, StoreError
from verifier.stores.pool import Stores
from verifier.stores.protocols import Completeness

PROFILE = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n')


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


class Executable(Protocol):
    """A proof."""

    async def execute(self, context: Context) -> Judgement:
        """Carry it out."""


class World(Stores):
    """Relations by name, and the memory of earlier runs."""

    def __init__(self, profile: Profile = PROFILE, **tables: Any) -> None:
        super().__init__(profile)
        self.tables = tables
        self.remembered: dict[str, Mapping[str, Any]] = {}

    async def source(self, rows: Rows) -> Any:
        """The table of that name."""
        return self.tables[rows.relation]

    async def clock_of(self, relation: str) -> Any:
        """The local clock."""

        async def clock() -> datetime:
            return datetime.now(UTC)

        return clock

    def fingerprint(self, check_id: str, raw_key: str) -> str:
        """As in `Memory`."""
        return raw_key

    def watermark(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """As in `Memory`."""
        return self.remembered.get(slot)

    def positions(self, slot: str) -> list[tuple[Any, str]]:
        """As in `Memory`."""
        return []

    async def run(self, proof: Executable, *, baselining: bool = False, only_key: str | None = None) -> Judgement:
        """One run of a proof; what it remembers is kept, as the engine does."""
        context = Context(
            check_id="X-1", severity=Severity.HIGH, profile=self.profile, phase=Phase.BASELINE, stores=self,
            scope=Scope(self.profile, Phase.BASELINE, self), memory=self, progress=lambda done, total, unit: None,
            baselining=baselining, only_key=only_key,
        )  # fmt: skip
        try:
            return await proof.execute(context)
        finally:
            if only_key is None:
                self.remembered.update(context.watermarks)


def keys(judgement: Judgement) -> list[str]:
    """The keys of the findings."""
    return sorted(item.key for item in judgement.findings)
