"""Judges silence from witnesses, counters and continuity, and states what could not be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from verifier.model.finding import Finding
from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.relations import Relation
from verifier.proofs.absence.balance import Balance
from verifier.proofs.absence.memory import counts_text, moved_counts, span_text
from verifier.proofs.absence.witnesses import WitnessClassifier
from verifier.proofs.context import NO_BASELINE, Context
from verifier.proofs.scope import ScopeEntry
from verifier.stores.protocols import Census, CounterSnapshot, Observer, Witness


class SilenceJudge:
    """Judges one object whose witnesses are classified."""

    def __init__(self, classifier: WitnessClassifier, observer: Observer) -> None:
        self.proof = classifier.proof
        self.context = classifier.context
        self.exclusive = classifier.exclusive
        self.classifier = classifier
        self.tally = classifier.tally
        self.observer = observer
        self.moves_on = False
        """Whether an inconclusive judgement says all that can ever be known of the time since the last run."""
        self._counted: frozenset[str] = frozenset()

    def judge(
        self, before: CounterSnapshot | None, now: CounterSnapshot, lost: Sequence[str], balance: Balance | None = None
    ) -> Judgement:
        """The judgement. `lost` says in words where continuity is broken; `balance` is what no record explains."""
        breaches = list(self.tally.breaches.values())
        moved = moved_counts(before, now)
        self._counted = frozenset(now.counters)
        coverage = Coverage(
            text=self._coverage_text(before, now, lost),
            unseen=self._unseen(now),
            observed_s=self._observed_s(now),
        )
        common: dict[str, Any] = {"coverage": (coverage,), "notes": self._notes(), "queries": self.observer.queries}
        if breaches:
            findings = tuple(self._finding(witness, entry, now) for witness, entry in breaches)
            return Judgement(
                verdict=Verdict.VIOLATED,
                findings=findings,
                findings_total=len(findings) + self.tally.unlisted,
                **common,
            )
        if lost:
            reason = f"continuity broken ({'; '.join(lost)}): writes since the last run cannot be known; a new baseline is taken"
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        if before is None:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=NO_BASELINE, **common)
        if unknown := self._unknown():
            self.moves_on = True
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=unknown, **common)
        if too_little := self._too_little(now, moved):
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=too_little, **common)
        if self.exclusive and moved and (guilty := self.unexplained(moved, balance)):
            finding = self._counter_finding(guilty, moved, before, now)
            return Judgement(verdict=Verdict.VIOLATED, findings=(finding,), findings_total=1, **common)
        if unexplained := self._unattributed(moved, balance):
            self.moves_on = True
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=unexplained, **common)
        if self.exclusive and self._attempted(moved, balance):
            notes = (
                *common.pop("notes"),
                f"aborted attempts: {counts_text(moved)} counted, but no record was left or removed",
            )
            return Judgement(verdict=Verdict.HOLDS, notes=notes, **common)
        if now.counters:
            common["notes"] = (*common["notes"], self._counter_note(moved))
        return Judgement(verdict=Verdict.HOLDS, **common)

    def _too_little(self, now: CounterSnapshot, moved: dict[str, int]) -> str:
        """Why the available techniques do not prove silence here, or "" if they do."""
        if self.exclusive and moved.get("write"):
            return (
                f"the server counted {moved['write']} writes without naming their kind, and no record shows one. When they are "
                f"explained, run: verifier baseline --only {self.context.check_id}"
            )
        own_times = (self.proof.inserted_at, self.proof.updated_at)
        if now.inconclusive_because and (self.exclusive or not (now.position or any(own_times))):
            return f"too little evidence to prove silence: {now.inconclusive_because}"
        return ""

    def _counter_note(self, moved: dict[str, int]) -> str:
        if not moved:
            return f"{self.proof.target}: the server's counter did not move"
        return f"{self.proof.target}: the server counted {counts_text(moved)}" + (
            "" if self.exclusive else ", including neighbours"
        )

    def _unknown(self) -> str:
        """Why writes that were seen cannot be judged, or ""."""
        reasons = [f"{count} writes: {reason}" for reason, count in self.tally.uncertain.items()]
        if self.tally.unsorted:
            reasons.append(
                f"{self.tally.unsorted} records in scope were written, but whether they are new or changed cannot be known: the last run "
                "did not record the keys"
            )
        return "; ".join(reasons)

    def unexplained(self, moved: Mapping[str, int], balance: Balance | None) -> str:
        """Why a counter of an exclusive object that moved without a witness is a breach, or "" if it is none."""
        operations = self.proof.operations
        if moved.get("publish") and "publish" in operations:
            return "something still publishes here"
        if balance is not None:
            moved = {"insert": balance.inserts, "update": balance.updates, "delete": balance.deletes}
        if moved.get("delete") and any(moved.get(name) for name in operations - {"delete"}):
            return "written and removed, or rolled back: something still writes here"
        return ""

    def _unattributed(self, moved: Mapping[str, int], balance: Balance | None) -> str:
        """Why counters that moved may stand for writes in scope of which nothing is left, or ""."""
        operations = self.proof.operations
        relation = self.proof.object_in(self.context.profile)
        if not isinstance(relation, Relation):
            return ""
        if moved.get("write") and operations - {"insert"}:
            return f"the server counted {moved['write']} writes without naming their kind, and nothing shows whose they were"
        if "insert" not in self._counted:
            return ""
        if relation.watches and any(moved.get(name) for name in operations):
            return (
                f"the tables that {self.proof.target} reads were written ({counts_text(dict(moved))}), and a select does not show which "
                "records that were. Map each table as a home of the relation, so that its records can be judged"
            )
        if balance is None:
            if "delete" in operations and moved.get("delete") and not self.tally.declared and not relation.deletes:
                return (
                    f"the server counted {moved['delete']} deletes, and the last run did not record the keys: whether records in scope "
                    "are gone cannot be known"
                )
            return ""
        outside = self.tally.changed - self.tally.changed_inside
        pairs = balance.unexplained_pairs(outside)
        relevant = "insert" in operations or ("update" in operations and balance.updates)
        if self.exclusive or relation.short_lived or not pairs or not relevant:
            return ""
        return (
            f"up to {pairs} records were written and removed again since the last run, or rolled back, and nothing shows whose they "
            "were. Run more often, or say in short_lived of the relation whose records live so shortly"
        )

    def _attempted(self, moved: Mapping[str, int], balance: Balance | None) -> bool:
        """Whether writes were counted of which nothing is left: they were rolled back."""
        if balance is not None:
            moved = {"insert": balance.inserts, "update": balance.updates, "delete": balance.deletes}
        return any(moved.get(name) for name in self.proof.operations)

    def _coverage_text(self, before: CounterSnapshot | None, now: CounterSnapshot, lost: Sequence[str]) -> str:
        parts = [self.proof.statement] if self.proof.statement else []
        if before is not None:
            parts.append(
                f"{span_text(now.at - before.at)} since the last run, continuity {'broken' if lost else 'kept'}"
            )
        relation = self.proof.object_in(self.context.profile)
        limited = isinstance(relation, Relation) and bool(relation.where) and relation.neighbours is None
        shared = "records outside the relation's where" if limited else "declared neighbours"
        parts.append("no declared neighbours" if self.exclusive else f"shared with {shared}, so judged by witnesses")
        if self.tally.neighbours:
            parts.append(f"{self.tally.neighbours} writes of conversations outside the scope, which do not count")
        if self.tally.declared:
            parts.append(
                f"{self.tally.declared} deletes that the profile declares ({getattr(relation, 'deletes', '')})"
            )
        return "; ".join(parts)

    def _observed_s(self, now: CounterSnapshot) -> float:
        """How long a tap listened, in seconds; 0 if counters cover the time between two runs."""
        tapped = getattr(self.observer, "watch", None) is not None
        return self.context.profile.timing.observe_s if tapped and not (self.exclusive and now.counters) else 0.0

    def _unseen(self, now: CounterSnapshot) -> tuple[str, ...]:
        complete = self.observer.complete
        layer = ["an update of other columns with the old time in the ordering column"] if self.proof.thin_layer else []
        if isinstance(self.observer, Census) and not self.exclusive:
            if self.proof.sorts:
                layer.append("a row that is deleted and inserted again under the same key, which counts as an update")
            layer.append("a record that was in scope, or passed the relation's where, only between two runs")
            relation = self.proof.object_in(self.context.profile)
            if isinstance(relation, Relation) and relation.short_lived:
                layer.append(f"a record that is written and removed again between two runs ({relation.short_lived})")
        if self.classifier.watched:
            layer.append(
                f"a change of other columns than {', '.join(self.classifier.watched)}, or one that was changed back"
            )
        return (
            *layer,
            *now.limitations,
            *self.observer.limitations,
            *(() if complete or (self.exclusive and now.counters) else self.observer.unseen),
        )

    def _notes(self) -> tuple[str, ...]:
        notes = [f"emptied since the last run: {', '.join(self.tally.emptied)}"] if self.tally.emptied else []
        notes += [f"find out who publishes there: {hint}" for hint in self.tally.hints]
        if self.tally.undated:
            notes.append(f"{self.tally.undated} writes in scope may have come before their conversation moved")
        return tuple(notes)

    def _finding(self, witness: Witness, entry: ScopeEntry | None, now: CounterSnapshot) -> Finding:
        since = self.classifier.since(entry)
        times = {
            name: str(witness.row[name])
            for name in (self.proof.inserted_at, self.proof.updated_at)
            if name and name in witness.row
        }
        if witness.written_at is not None:
            times["written at"] = witness.written_at.isoformat()
        owner = (
            f" of conversation {witness.row[self.proof.scoped_by[1]]}"
            if self.proof.scoped_by and self.proof.scoped_by[1] in witness.row
            else ""
        )
        problem = Problem(
            summary=f"a {self.proof.noun}{owner} was written although OpenIM owns it",
            expected=f"no write after {since.isoformat(timespec='seconds')}",
            actual=f"{witness.operation} of {witness.key}",
            next_step=self.proof.next_step,
            evidence={"known by": witness.how, "object": self.observer.label, **times},
        )
        return finding_of(self.context, self.proof.target, problem, witness.key, now)

    def _counter_finding(
        self, why: str, moved: dict[str, int], before: CounterSnapshot, now: CounterSnapshot
    ) -> Finding:
        problem = Problem(
            summary=f"{self.observer.label}: {why}",
            expected=f"counters as at {before.at.isoformat(timespec='seconds')}",
            actual=counts_text(moved),
            next_step=f"{self.proof.next_step} Afterwards, run: verifier baseline --only {self.context.check_id}".strip(),
            evidence={"known by": "counters of the server, with continuity kept", "object": self.observer.label},
        )
        return finding_of(self.context, self.proof.target, problem, "counters", now)


def finding_of(context: Context, target: str, problem: Problem, key: str, now: CounterSnapshot) -> Finding:
    """A finding about an object or about one of its records."""
    return context.finding(
        problem, key=key, raw_key=context.raw_key(target, key), first_seen_at=now.at, confirmed_at=now.at
    )
