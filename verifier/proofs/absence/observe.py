"""Takes snapshots of a watched object, compares them with the last run, and leaves what the next run needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from verifier.model.invariant import Phase, Problem
from verifier.model.query import Rows, Where
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.proofs.absence.balance import Balance
from verifier.proofs.absence.judge import SilenceJudge, finding_of
from verifier.proofs.absence.memory import broken, counts_text, moved_counts, span_text
from verifier.proofs.absence.watched import Watched
from verifier.proofs.absence.witnesses import WitnessClassifier, WitnessTally
from verifier.proofs.clocks import require_same_time
from verifier.proofs.context import Context
from verifier.stores.errors import ContinuityLost
from verifier.stores.protocols import Census, CounterSnapshot, Observer
from verifier.stores.skew import VERIFIER

SKEW_CAP_S = 86_400.0
"""If the phase began longer than this before the last snapshot, clocks cannot be far enough apart to matter."""


class Observation:
    """One run of an absence proof."""

    def __init__(self, proof: Watched, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.slot = f"{context.proof_index}:{proof.target}"
        self.exclusive = context.phase.reached(Phase.FROZEN) and not proof.shared_in(context.profile)

    async def run(self) -> Judgement:
        """Take the baseline, or judge silence or activity."""
        context = self.context
        self.observer: Observer = await context.stores.observer(self.proof.kind, self.proof.target, self.proof.columns)
        self.observer.watched = self.proof.watched_in(context.profile)
        raw = context.memory.watermark(context.check_id, self.slot)
        # Another phase asks another question, so a snapshot of the old phase is not a baseline for the new one.
        before = CounterSnapshot.from_json(raw) if raw and raw.get("phase") == context.phase.value else None
        if context.baselining:
            # Counters that were not flushed yet cannot cause a false alarm when activity is expected. Silence waits for them.
            await self._remember(await self.observer.read(settled=self.proof.expect == "silence"), None)
            return Judgement.not_applicable("baseline taken")
        if self.proof.expect == "activity":
            return await self._activity(before)
        await require_same_time(context, self._clocks(before))
        return await self._silence(before)

    def _clocks(self, before: CounterSnapshot | None) -> frozenset[str]:
        """Whose times are compared: those of the object, and those that say since when it is OpenIM's."""
        context, proof = self.context, self.proof
        role = proof.object_in(context.profile).role
        if proof.scoped_by and context.profile.scope.kind == "relation":
            listed = frozenset({role, context.profile.relation("scope").role})
            return listed if context.scope.everything_else_is_neighbour else listed | {VERIFIER}
        margin_s = context.profile.timing.clock_skew_max_s + SKEW_CAP_S
        if before is not None and (before.at - context.scope.phase_since).total_seconds() > margin_s:
            return frozenset()  # everything after the last snapshot came after the phase began, by any clock
        return frozenset({role, VERIFIER})

    async def _remember(self, snapshot: CounterSnapshot, before: CounterSnapshot | None) -> tuple[str, ...]:
        """Store a snapshot for the next run; `before` is the one that it continues. Returns notes about new limitations."""
        limitations = frozenset(snapshot.limitations)
        if snapshot.known is None:
            snapshot = await self._census(snapshot, before)
        self.context.watermarks[self.slot] = {**snapshot.to_json(), "phase": self.context.phase.value}
        self.context.positions.append((self.slot, snapshot.at, snapshot.position))
        return tuple(f"the next run cannot know {what}" for what in snapshot.limitations if what not in limitations)

    async def _census(self, now: CounterSnapshot, before: CounterSnapshot | None) -> CounterSnapshot:
        """`now` with a census, where the observer can take one and silence is asked for."""
        if self.proof.expect != "silence" or not isinstance(self.observer, Census):
            return now
        scoped = self.proof.scoped_by
        if scoped is None or self.exclusive:
            return await self.observer.census(now, before)

        async def scope() -> Callable[[bytes], bool]:
            return await self.context.scope.inside(scoped[0], now.at)

        return await self.observer.census(now, before, scoped[1], scope)

    async def _silence(self, before: CounterSnapshot | None) -> Judgement:
        classifier = WitnessClassifier(self.proof, self.context, self.observer, self.slot, exclusive=self.exclusive)
        judge = SilenceJudge(classifier, self.observer)
        await classifier.own_times()
        now = await self.observer.read(settled=before is None)
        watch = getattr(self.observer, "watch", None)
        if watch is not None:
            await classifier.collect(watch(self.context.profile.timing.observe_s), before)
            now = await self.observer.read()
        seen = frozenset(now.limitations)
        if before is not None and isinstance(self.observer, Census):
            before = self.observer.comparable(before, now)
        # A baseline taken beside an open transaction makes counters unreliable. That matters only where they would accuse.
        lost = [] if before is None else broken(before, now, but=("baseline",))
        try:
            # Also if a counter restarted: what was seen counts, even if other writes can no longer be known.
            await classifier.collect(self.observer.witnesses(before, now), before)
        except ContinuityLost as error:
            lost = [*lost, str(error)]
        now = await self._census(now, before if not lost else None)
        if before is not None and before.known is not None and now.known is not None and not _replaced(before, now):
            classifier.removed(before, now)
        elif before is not None and not lost and before.parts.keys() - now.parts.keys():
            lost = ["parts of the table were detached or dropped, and their keys are not known"]
        balance = await self._balance(before, now, classifier.tally)
        if before is not None and not lost and self.exclusive and judge.unexplained(moved_counts(before, now), balance):
            lost = broken(before, now)
        judgement = judge.judge(before, now, lost, balance)
        news = tuple(f"the next run cannot know {what}" for what in now.limitations if what not in seen)
        if judgement.verdict is Verdict.HOLDS:
            late = balance.late if balance is not None else {}
            notes = await self._remember(replace(await self._settled_baseline(before, now), late=late), before)
            return replace(judgement, notes=(*judgement.notes, *news, *notes))
        if lost or before is None or judge.moves_on:
            # The new baseline is a settled snapshot, so that counts not flushed yet do not look like new writes next time.
            await self._remember(now if before is None else await self.observer.read(settled=True), None)
        return judgement

    async def _balance(
        self, before: CounterSnapshot | None, now: CounterSnapshot, tally: WitnessTally
    ) -> Balance | None:
        """The counts that no record explains. Where only replaced records explain them, late counts of updates are awaited."""
        balance = Balance.of(before, now, tally.changed)
        if balance is None or self.exclusive or not balance.pairs or not balance.replaced:
            return balance
        later = await self.observer.read(settled=True)
        return Balance.of(
            before, replace(now, counters={**now.counters, "update": later.counters.get("update", 0)}), tally.changed
        )

    async def _settled_baseline(self, before: CounterSnapshot | None, now: CounterSnapshot) -> CounterSnapshot:
        """The snapshot to remember. Its counters are reliable only if the transactions open at the last one have ended."""
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
            notes = (f"in use: {counts_text(moved)} since the last run",)
            return Judgement(verdict=Verdict.HOLDS, notes=notes, **common)
        if relation.alive_within_s is None or self.proof.inserted_at is None:
            return Judgement.not_applicable(
                f"quiet: no write to {self.proof.target} since the last run, and the profile sets no alive_within_s to judge that by"
            )
        await require_same_time(self.context, {relation.role, VERIFIER})
        cutoff = now.at - timedelta(seconds=relation.alive_within_s)
        source = await self.context.stores.source(
            Rows(self.proof.target, (self.proof.inserted_at,), (Where(self.proof.inserted_at, ">", cutoff),))
        )
        async for chunk in source.chunks():
            if chunk:
                notes = (f"in use: written within {relation.alive_within_s:g} s",)
                return Judgement(verdict=Verdict.HOLDS, notes=notes, **common)
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


def _replaced(before: CounterSnapshot, now: CounterSnapshot) -> bool:
    """Whether another table has the name now, whose records are not those of the last run."""
    return before.continuity.get("table") != now.continuity.get("table")
