"""`absence`: has nothing been written there? Counter, witness and continuity; `expect="activity"` asks the opposite.

The rule of verdict: a witness in scope, written after its conversation moved, is a breach. Without continuity nothing can be
said. With it, an object that nobody else may write to must not have moved at all; on a shared object the counter proves nothing and
the verdict rests on the witnesses. What could not have been seen is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Literal

from verifier.model.invariant import Phase, Problem
from verifier.model.query import Rows, Where
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.models import Profile
from verifier.profile.relations import Channel, Queue, Relation
from verifier.proofs.absence.judge import Judge, finding_of
from verifier.proofs.absence.memory import broken, counts_text, moved_counts, span_text
from verifier.proofs.absence.witnesses import WitnessClassifier
from verifier.proofs.clocks import require_same_time
from verifier.proofs.context import Context
from verifier.proofs.scope import Kind
from verifier.stores.errors import ContinuityLost
from verifier.stores.protocols import Census, CounterSnapshot, Observer
from verifier.stores.skew import VERIFIER

SKEW_CAP_S = 86_400.0
"""A phase that began longer ago than this is told apart from the last reading by clocks that are a day apart."""
Target = Literal["relation", "channel", "queue"]


@dataclass(frozen=True, kw_only=True)
class Absence:
    """Watch a relation, channel or queue of the profile for `operations` (insert, update, delete, publish …).

    `scoped_by` names the column that holds the conversation (or group) a record belongs to; without it every write counts.
    `inserted_at` and `updated_at` are the record's own time columns: a weak witness alone, but one that needs no baseline.
    `thin_layer`: other columns of the object may still change, so an update must show in `updated_at` to be a breach.
    """

    target: str
    kind: Target = "relation"
    operations: frozenset[str] = frozenset({"insert"})
    scoped_by: tuple[Kind, str] | None = None
    inserted_at: str | None = None
    updated_at: str | None = None
    expect: Literal["silence", "activity"] = "silence"
    noun: str = "row"
    next_step: str = ""
    statement: str = ""
    thin_layer: bool = False
    takes_baseline: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The logical columns that the verdict needs."""
        names = (self.scoped_by[1] if self.scoped_by else None, self.inserted_at, self.updated_at)
        return tuple(name for name in names if name)

    @property
    def sorts(self) -> bool:
        """Whether it matters if a write was an insert or an update: only one of them is asked for."""
        return len(self.operations & {"insert", "update"}) == 1

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        return await _Watch(self, context).run()


class _Watch:
    def __init__(self, proof: Absence, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.slot = f"{context.proof_index}:{proof.target}"
        self.exclusive = context.phase.reached(Phase.FROZEN) and not _shared(proof, context.profile)

    async def run(self) -> Judgement:
        context = self.context
        self.observer: Observer = await context.stores.observer(self.proof.kind, self.proof.target, self.proof.columns)
        raw = context.memory.watermark(context.check.id, self.slot)
        # Another phase asks another question: what was remembered for the old one is no baseline for the new one.
        before = CounterSnapshot.from_json(raw) if raw and raw.get("phase") == context.phase.value else None
        if context.baselining:
            # Life is no accusation: counts still on their way may count as life. Silence waits for them.
            await self._remember(await self.observer.read(settled=self.proof.expect == "silence"), None)
            return Judgement.not_applicable("baseline taken")
        if self.proof.expect == "activity":
            return await self._activity(before)
        await require_same_time(context, self._clocks(before))
        return await self._silence(before)

    def _clocks(self, before: CounterSnapshot | None) -> frozenset[str]:
        """Whose times are compared: those of the object, and those that say since when it is OpenIM's."""
        context, proof = self.context, self.proof
        role = _object(proof, context.profile).role
        if proof.scoped_by and context.profile.scope.kind == "relation":
            listed = frozenset({role, context.profile.relation("scope").role})
            return listed if context.scope.everything_else_is_neighbour else listed | {VERIFIER}
        margin_s = context.profile.timing.clock_skew_max_s + SKEW_CAP_S
        if before is not None and (before.at - context.scope.phase_since).total_seconds() > margin_s:
            return frozenset()  # whatever came after the last reading came after the phase began, by any clock
        return frozenset({role, VERIFIER})

    async def _remember(self, snapshot: CounterSnapshot, before: CounterSnapshot | None) -> tuple[str, ...]:
        """For the next look; `before` is the earlier reading that this one continues. Returns what that look will not be able to tell."""
        known = frozenset(snapshot.limitations)
        if self.proof.sorts and isinstance(self.observer, Census):
            snapshot = await self.observer.census(snapshot, before)
        self.context.watermarks[self.slot] = {**snapshot.to_json(), "phase": self.context.phase.value}
        self.context.positions.append((self.slot, snapshot.at, snapshot.position))
        return tuple(f"the next look will not tell {what}" for what in snapshot.limitations if what not in known)

    async def _silence(self, before: CounterSnapshot | None) -> Judgement:
        classifier = WitnessClassifier(self.proof, self.context, self.observer, self.slot, exclusive=self.exclusive)
        judge = Judge(classifier, self.observer)
        await classifier.own_times()
        now = await self.observer.read(settled=before is None)
        watch = getattr(self.observer, "watch", None)
        if watch is not None:
            await classifier.collect(watch(self.context.profile.timing.observe_s), before)
            now = await self.observer.read()
        # A baseline beside an open transaction makes counters unsure: that matters where they would accuse, and nowhere else.
        unsure = self.exclusive and judge.unexplained(moved_counts(before, now))
        lost = [] if before is None else broken(before, now, but=() if unsure else ("baseline",))
        try:
            # Also when a counter restarted: what is seen is seen, whatever else can no longer be told.
            await classifier.collect(self.observer.witnesses(before, now), before)
        except ContinuityLost as error:
            lost = [*lost, str(error)]
        judgement = judge.judge(before, now, lost)
        if judgement.verdict is Verdict.HOLDS:
            doubts = await self._remember(await self._still_owed(before, now), before)
            return replace(judgement, notes=(*judgement.notes, *doubts))
        if lost or before is None or classifier.tally.unsorted:
            # Re-arm from a settled reading, so that counts still on their way do not look like new writes next time.
            await self._remember(now if before is None else await self.observer.read(settled=True), None)
        return judgement

    async def _still_owed(self, before: CounterSnapshot | None, now: CounterSnapshot) -> CounterSnapshot:
        """The reading to go by next time: sure of its counters only where the transactions beside the last one are over."""
        if before is None or before.continuity.get("baseline") == now.continuity.get("baseline"):
            return now
        later = await self.observer.read(settled=True)
        if later.counters == now.counters:
            return replace(now, continuity={**now.continuity, "baseline": later.continuity["baseline"]})
        return replace(now, continuity={**now.continuity, "baseline": before.continuity["baseline"]})

    async def _activity(self, before: CounterSnapshot | None) -> Judgement:
        """The object is still in use: its counter moved, or its newest record is young enough."""
        relation = self.context.profile.relation(self.proof.target)
        now = await self.observer.read()
        moved = moved_counts(before, now) if before and not broken(before, now) else {}
        await self._remember(now, None)
        coverage = Coverage(text=self.proof.statement)
        common: dict[str, Any] = {"coverage": (coverage,), "queries": self.observer.queries}
        if any(moved.get(name) for name in self.proof.operations):
            return Judgement(
                verdict=Verdict.HOLDS, notes=(f"alive: {counts_text(moved)} since the last reading",), **common
            )
        if relation.alive_within_s is None or self.proof.inserted_at is None:
            return Judgement.not_applicable(
                f"quiet: no write to {self.proof.target} since the last reading, and no alive_within_s to judge that by"
            )
        await require_same_time(self.context, {relation.role, VERIFIER})
        cutoff = now.at - timedelta(seconds=relation.alive_within_s)
        source = await self.context.stores.source(
            Rows(self.proof.target, (self.proof.inserted_at,), (Where(self.proof.inserted_at, ">", cutoff),))
        )
        async for chunk in source.chunks():
            if chunk:
                return Judgement(
                    verdict=Verdict.HOLDS, notes=(f"alive: written within {relation.alive_within_s:g} s",), **common
                )
        problem = Problem(
            summary=f"{self.observer.label}: nothing was written for {span_text(timedelta(seconds=relation.alive_within_s))}",
            expected=f"a {self.proof.noun} at least every {relation.alive_within_s:g} s",
            actual="none",
            next_step=self.proof.next_step,
            evidence={
                "known by": f"its counter and its own column {self.proof.inserted_at}",
                "object": self.observer.label,
            },
        )
        return Judgement(
            verdict=Verdict.VIOLATED,
            findings=(finding_of(self.context, self.proof.target, problem, "liveness", now),),
            findings_total=1,
            **common,
        )


def _object(proof: Absence, profile: Profile) -> Relation | Channel | Queue:
    match proof.kind:
        case "relation":
            return profile.relation(proof.target)
        case "channel":
            return profile.channel(proof.target)
        case "queue":
            return profile.queue(proof.target)


def _shared(proof: Absence, profile: Profile) -> bool:
    """Whether declared neighbours write there too."""
    found = _object(proof, profile)
    return found.neighbours is not None and not (isinstance(found, Channel) and found.only_channel)
