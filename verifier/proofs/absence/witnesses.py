"""Classifies witnesses: breaches, writes of neighbours, and writes that cannot be attributed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from verifier.model.invariant import Phase, Row
from verifier.model.query import Rows, Where
from verifier.proofs.absence.watched import Watched
from verifier.proofs.context import Context
from verifier.proofs.scope import ScopeEntry
from verifier.stores.protocols import CounterSnapshot, Observer, Witness

BATCH = 500
FINDINGS_MAX = 1000


@dataclass(slots=True)
class WitnessTally:
    """The result of a classification.

    `breaches` maps a record's key to its witness and scope entry; at most `FINDINGS_MAX` are kept, and `unlisted` counts the
    others. `neighbours` counts writes outside the scope. `undated` counts writes that may have come before or after the
    move. `unsorted` counts writes in scope that may be inserts or updates. `emptied` names parts of the object that were
    truncated. `hints` are signs of an old writer that prove nothing.
    """

    breaches: dict[str, tuple[Witness, ScopeEntry | None]] = field(default_factory=dict)
    neighbours: int = 0
    undated: int = 0
    unlisted: int = 0
    unsorted: int = 0
    emptied: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


class WitnessClassifier:
    """Classifies the witnesses of one object. `exclusive`: the object has no declared neighbours, so every write counts."""

    def __init__(self, proof: Watched, context: Context, observer: Observer, slot: str, *, exclusive: bool) -> None:
        self.proof = proof
        self.context = context
        self.observer = observer
        self.slot = slot
        self.exclusive = exclusive
        self.tally = WitnessTally()
        self.grace = timedelta(seconds=context.settle_s)

    async def own_times(self) -> None:
        """Collect the records whose own time columns show that they were written after their conversation moved."""
        if self.proof.kind != "relation":
            return
        profile = self.context.profile
        cutover = profile.since_phase(Phase.CUTOVER) or profile.since_phase(self.context.phase)
        columns = {"insert": self.proof.inserted_at, "update": self.proof.updated_at}
        for operation in sorted(self.proof.operations & columns.keys()):
            column = columns[operation]
            if column is None:
                continue
            where = (Where(column, ">", cutover),) if cutover else ()
            source = await self.context.stores.source(Rows(self.proof.target, self.proof.columns, where))
            async for chunk in source.chunks():
                await self._classify([_own_witness(row, source.key, column) for row in chunk], None)

    async def collect(self, witnesses: AsyncIterator[Witness], before: CounterSnapshot | None) -> None:
        """Classify all witnesses, `BATCH` at a time."""
        batch: list[Witness] = []
        async for witness in witnesses:
            batch.append(witness)
            if len(batch) >= BATCH:
                await self._classify(batch, before)
                batch = []
        await self._classify(batch, before)

    async def _classify(self, batch: Sequence[Witness], before: CounterSnapshot | None) -> None:
        """Add some witnesses to the tally."""
        entries: dict[str, ScopeEntry] = {}
        scoped = self.proof.scoped_by
        if scoped and batch:
            ids = [str(item.row[scoped[1]]) for item in batch if item.row.get(scoped[1]) is not None]
            entries = await self.context.scope.entries(scoped[0], ids)
        for witness in batch:
            if witness.operation == "truncate" and witness.key not in self.tally.emptied:
                self.tally.emptied.append(witness.key)
            if witness.operation == "unroutable" and witness.how not in self.tally.hints:
                self.tally.hints.append(witness.how)
            entry = entries.get(str(witness.row.get(scoped[1]))) if scoped else None
            # A deletion does not name its conversation. On an exclusive object it is a breach all the same.
            if scoped and entry is None and (scoped[1] in witness.row or not self.exclusive):
                self.tally.neighbours += 1
                continue
            counts, after = self._counts(witness, entry, before), self._after_since(witness, entry, before)
            if counts is None:
                self.tally.unsorted += after
            elif not counts:
                continue
            elif not after:
                self.tally.undated += witness.since_baseline
            elif len(self.tally.breaches) < FINDINGS_MAX or witness.key in self.tally.breaches:
                self.tally.breaches.setdefault(witness.key, (witness, entry))
            else:
                self.tally.unlisted += 1

    def _counts(self, witness: Witness, entry: ScopeEntry | None, before: CounterSnapshot | None) -> bool | None:
        """Whether a write is one of the operations that count; None if that cannot be known."""
        if witness.operation != "write":
            return witness.operation in self.proof.operations
        if not self.proof.sorts:
            return "insert" in self.proof.operations
        since = self.since(entry)
        for operation, column in (("insert", self.proof.inserted_at), ("update", self.proof.updated_at)):
            at = witness.row.get(column or "")
            if at is not None and since is not None and at > since:
                return operation in self.proof.operations
        if witness.mark is None or before is None:
            return "insert" in self.proof.operations
        if before.known is None:
            return None
        return ("update" if witness.mark in before.known else "insert") in self.proof.operations

    def since(self, entry: ScopeEntry | None) -> Any:
        """The time from which on a record is OpenIM's."""
        return entry.since if entry else self.context.scope.phase_since

    def _after_since(self, witness: Witness, entry: ScopeEntry | None, before: CounterSnapshot | None) -> bool:
        since = self.since(entry)
        if witness.written_at is not None:
            return bool(witness.written_at > since + self.grace)
        times = [witness.row.get(name) for name in (self.proof.inserted_at, self.proof.updated_at) if name]
        if any(at is not None and at > since + self.grace for at in times):
            return True
        if not witness.since_baseline or before is None or self.proof.thin_layer:
            return False
        if since <= before.at:
            return True
        return self._after_position(witness, since)

    def _after_position(self, witness: Witness, since: Any) -> bool:
        """Whether a run after the move remembered a position that does not include the write yet."""
        if witness.position is None:
            return False
        later = [position for at, position in self.context.memory.positions(self.slot) if at >= since]
        return bool(later) and self.observer.written_after(witness, later[0])


def _own_witness(row: Row, key: Sequence[str], column: str) -> Witness:
    return Witness(
        operation="write",
        key=" / ".join(str(row[name]) for name in key),
        row=row,
        how=f"its own column {column}",
        written_at=row[column],
        since_baseline=False,
    )
