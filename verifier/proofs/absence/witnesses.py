"""Classifies witnesses: breaches, writes of neighbours, and writes that cannot be attributed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from verifier.model.invariant import Phase, Row
from verifier.model.query import Rows, Where
from verifier.profile.relations import Relation
from verifier.proofs.absence.watched import Watched
from verifier.proofs.context import Context
from verifier.proofs.scope import ScopeEntry
from verifier.stores.protocols import CounterSnapshot, Observer, Witness

BATCH = 500
UPDATES = frozenset({"update", "replace"})
WHOLE_OBJECT = frozenset({"truncate", "drop", "rename", "dropDatabase", "invalidate"})
"""Operations on the object as a whole, which concern the records in scope too."""
_NAMELESS = "the write does not name its conversation"
_UNATTRIBUTED = "records are gone, and the last run did not record which of them were in scope"
FINDINGS_MAX = 1000


@dataclass(slots=True)
class WitnessTally:
    """The result of a classification.

    `breaches` maps a record's key to its witness and scope entry; at most `FINDINGS_MAX` are kept, and `unlisted` counts the
    others. `neighbours` counts writes outside the scope. `undated` counts writes that may have come before or after the
    move. `unsorted` counts writes in scope that may be inserts or updates. `emptied` names parts of the object that were
    truncated. `hints` are signs of an old writer that prove nothing.

    `uncertain` counts writes of which it is not known whether they count, by the reason. `declared` counts deletes that the profile
    declares. `changed` and `changed_inside` count records that existed before and have a new version.
    """

    breaches: dict[str, tuple[Witness, ScopeEntry | None]] = field(default_factory=dict)
    neighbours: int = 0
    undated: int = 0
    unlisted: int = 0
    unsorted: int = 0
    emptied: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    uncertain: dict[str, int] = field(default_factory=dict)
    declared: int = 0
    changed: int = 0
    changed_inside: int = 0


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
        self.watched = proof.watched_in(context.profile)
        found = proof.object_in(context.profile)
        self.deletes_declared = isinstance(found, Relation) and bool(found.deletes)

    async def own_times(self) -> None:
        """Collect the records whose own time columns show that they were written after their conversation moved."""
        if self.proof.kind != "relation":
            return
        profile = self.context.profile
        cutover = profile.since_phase(Phase.CUTOVER) or profile.since_phase(self.context.phase)
        columns = {"insert": self.proof.inserted_at, "update": None if self.watched else self.proof.updated_at}
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
            inside = self._inside(witness, entry, before)
            if before is not None and before.has(witness.mark):
                self.tally.changed += 1
                self.tally.changed_inside += inside is not False and self._of_relation(witness, before)
            if inside is False:
                self.tally.neighbours += 1
                continue
            self._tally(witness, entry, before, inside=inside)

    def _tally(
        self, witness: Witness, entry: ScopeEntry | None, before: CounterSnapshot | None, *, inside: bool | None
    ) -> None:
        """Add a witness that is not known to be outside the scope."""
        tally = self.tally
        counts, after = self._counts(witness, entry, before), self._after_since(witness, entry, before)
        if counts is False:
            return
        if reason := witness.uncertain or ("" if inside else f"{_NAMELESS}. {self.observer.advice}".rstrip(". ")):
            tally.uncertain[reason] = tally.uncertain.get(reason, 0) + 1
        elif counts is None:
            tally.unsorted += after
        elif self.deletes_declared and (witness.operation == "delete" or not witness.belongs):
            tally.declared += 1
        elif not after:
            tally.undated += witness.since_baseline
        elif self.proof.doubtful and self._kind(witness, entry, before) in self.proof.doubtful:
            tally.uncertain[self.proof.doubt] = tally.uncertain.get(self.proof.doubt, 0) + 1
        else:
            self._breach(witness, entry)

    def _breach(self, witness: Witness, entry: ScopeEntry | None) -> None:
        if len(self.tally.breaches) < FINDINGS_MAX or witness.key in self.tally.breaches:
            self.tally.breaches.setdefault(witness.key, (witness, entry))
        else:
            self.tally.unlisted += 1

    def _inside(self, witness: Witness, entry: ScopeEntry | None, before: CounterSnapshot | None) -> bool | None:
        """Whether a write is one of a record in scope; None where the write does not name its conversation."""
        scoped = self.proof.scoped_by
        if scoped is None or entry is not None or (self.exclusive and scoped[1] not in witness.row):
            return True
        if before is not None and before.inside is not None and witness.mark in before.inside:
            return True  # it was, and the write moved it to another conversation
        if scoped[1] in witness.row:
            if witness.row[scoped[1]] is None and scoped[1] not in witness.lost_values:
                return self.context.scope.takes_the_rest  # a record of no conversation is no neighbour's
            return None if scoped[1] in witness.lost_values else False
        if witness.operation == "truncate" and before is not None and before.inside is not None:
            # The census names the records in scope that are gone, part by part.
            return "delete" not in self.proof.operations and bool(before.inside)
        return True if witness.operation in WHOLE_OBJECT else None

    @staticmethod
    def _of_relation(witness: Witness, before: CounterSnapshot) -> bool:
        """Whether a record is or was one of the relation, and not one that its `where` leaves out."""
        return witness.belongs or (before.known is not None and witness.mark in before.known)

    def removed(self, before: CounterSnapshot, now: CounterSnapshot) -> None:
        """Classify the records that a census of the last run has and that are gone now."""
        gone = (before.known or frozenset()) - now.marks
        if "delete" not in self.proof.operations or not gone:
            return
        if self.proof.scoped_by is not None and not self.exclusive and before.inside is None:
            self.tally.uncertain[_UNATTRIBUTED] = self.tally.uncertain.get(_UNATTRIBUTED, 0) + len(gone)
            return
        late = self.since(None) > before.at  # the baseline is older than the phase
        for mark in sorted(gone):
            if before.inside is not None and mark not in before.inside and not self.exclusive:
                self.tally.neighbours += 1
            elif self.deletes_declared:
                self.tally.declared += 1
            elif late and before.inside is None:
                self.tally.undated += 1
            else:
                name = before.names.get(mark) or f"unknown key with mark {mark.hex()}"
                how = "its key existed at the last run and is gone"
                self._breach(Witness(operation="delete", key=name, row={}, how=how, mark=mark), None)

    def _counts(self, witness: Witness, entry: ScopeEntry | None, before: CounterSnapshot | None) -> bool | None:
        """Whether a write is one of the operations that count; None if that cannot be known."""
        operations = self.proof.operations
        if not witness.belongs:  # the relation's `where` leaves it out now: it left the relation, or never was in it
            if "delete" not in operations or before is None:
                return False
            return None if before.known is None else witness.mark in before.known
        kind = self._kind(witness, entry, before)
        if kind is None:
            return None
        if kind not in operations | self.proof.doubtful:
            return False
        if self.proof.state and not witness.row.get(self.proof.state, True):
            return False
        return self._matters(witness, before) if kind in UPDATES and kind in operations else True

    def _kind(self, witness: Witness, entry: ScopeEntry | None, before: CounterSnapshot | None) -> str | None:
        """The operation of a write; None if that cannot be known."""
        if witness.operation != "write":
            return witness.operation
        if not self.proof.sorts and not self.watched:
            return "insert" if "insert" in self.proof.operations else "write"
        since = self.since(entry)
        columns = {"insert": self.proof.inserted_at, "update": None if self.watched else self.proof.updated_at}
        for operation, column in columns.items():
            at = witness.row.get(column or "")
            if isinstance(at, datetime) and since is not None and at > since:
                return operation
        if witness.mark is None or before is None:
            return "insert"
        if before.known is None:
            return None
        return "update" if witness.mark in before.known else "insert"

    def _matters(self, witness: Witness, before: CounterSnapshot | None) -> bool | None:
        """Whether an update changed a watched column; None if that cannot be known."""
        if not self.watched:
            return True
        if witness.touched is not None:
            return not witness.touched.isdisjoint(self.watched)
        if before is None or witness.mark is None or witness.mark not in before.states or witness.state is None:
            return None
        return before.states[witness.mark] != witness.state

    def since(self, entry: ScopeEntry | None) -> Any:
        """The time from which on a record is OpenIM's."""
        return entry.since if entry else self.context.scope.phase_since

    def _after_since(self, witness: Witness, entry: ScopeEntry | None, before: CounterSnapshot | None) -> bool:
        since = self.since(entry)
        if witness.written_at is not None:
            return bool(witness.written_at > since + self.grace)
        times = [witness.row.get(name) for name in (self.proof.inserted_at, self.proof.updated_at) if name]
        if any(isinstance(at, datetime) and at > since + self.grace for at in times):  # else unreadable
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
        written_at=row[column] if isinstance(row[column], datetime) else None,
        since_baseline=False,
    )
