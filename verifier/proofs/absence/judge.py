"""Judges silence from witnesses, counters and continuity, and states what could not be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from verifier.model.finding import Finding
from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Judgement, Verdict
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

    def judge(self, before: CounterSnapshot | None, now: CounterSnapshot, lost: Sequence[str]) -> Judgement:
        """The judgement. `lost` says in words where continuity is broken."""
        breaches = list(self.tally.breaches.values())
        moved = moved_counts(before, now)
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
        if self.tally.unsorted:
            reason = (
                f"{self.tally.unsorted} records in scope were written, but whether they are new or changed cannot be known: the last run "
                "did not record the keys"
            )
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        if too_little := self._too_little(now, moved):
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=too_little, **common)
        if self.exclusive and moved and (guilty := self.unexplained(moved)):
            finding = self._counter_finding(guilty, moved, before, now)
            return Judgement(verdict=Verdict.VIOLATED, findings=(finding,), findings_total=1, **common)
        if self.exclusive and any(moved.get(name) for name in self.proof.operations):
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
        if self.exclusive and self.tally.hints:
            return (
                f"{'; '.join(self.tally.hints)}. Whether a {self.proof.noun} for {self.proof.target} was among them cannot be known. "
                f"Find out who publishes there; when it is explained, run: verifier baseline --only {self.context.check_id}"
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

    def unexplained(self, moved: dict[str, int]) -> str:
        """Why a counter of an exclusive object that moved without a witness is a breach, or "" if it is none."""
        if moved.get("publish") and "publish" in self.proof.operations:
            return "something still publishes here"
        wrote = any(moved.get(name) for name in self.proof.operations)
        if wrote and moved.get("delete"):
            return "written and removed, or rolled back: something still writes here"
        return ""

    def _coverage_text(self, before: CounterSnapshot | None, now: CounterSnapshot, lost: Sequence[str]) -> str:
        parts = [self.proof.statement] if self.proof.statement else []
        if before is not None:
            parts.append(
                f"{span_text(now.at - before.at)} since the last run, continuity {'broken' if lost else 'kept'}"
            )
        parts.append(
            "no declared neighbours" if self.exclusive else "shared with declared neighbours, so judged by witnesses"
        )
        if self.tally.neighbours:
            parts.append(f"{self.tally.neighbours} writes of conversations outside the scope, which do not count")
        return "; ".join(parts)

    def _observed_s(self, now: CounterSnapshot) -> float:
        """How long a tap listened, in seconds; 0 if counters cover the time between two runs."""
        tapped = getattr(self.observer, "watch", None) is not None
        return self.context.profile.timing.observe_s if tapped and not (self.exclusive and now.counters) else 0.0

    def _unseen(self, now: CounterSnapshot) -> tuple[str, ...]:
        complete = self.observer.complete
        layer = ["an update of other columns with the old time in the ordering column"] if self.proof.thin_layer else []
        if self.proof.sorts and isinstance(self.observer, Census) and not self.exclusive:
            layer.append("a row that is deleted and inserted again under the same key, which counts as an update")
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
