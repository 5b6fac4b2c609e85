"""`absence`: has nothing been written there? Counter, witness and continuity; `expect="life"` asks the opposite.

The rule of verdict: a witness in scope, written after its conversation moved, is a breach. Without continuity nothing can be
said. With it, an object that nobody else may write to must not have moved at all; on a shared object the counter proves nothing and
the verdict rests on the witnesses. What could not have been seen is said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar, Literal

from verifier.finding import Finding
from verifier.model import Phase, Problem, Row
from verifier.profile.models import Profile
from verifier.proofs.clocks import require_same_time
from verifier.proofs.context import Context
from verifier.proofs.readings import broken, counts_text, moved_counts, span_text
from verifier.query import Rows, Where
from verifier.scope import Entry, Kind
from verifier.stores.base import ContinuityLost, Observer, Reading, Witness
from verifier.stores.skew import VERIFIER
from verifier.verdict import Coverage, Judgement, Verdict

BATCH = 500
FINDINGS_MAX = 1000
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
    expect: Literal["silence", "life"] = "silence"
    noun: str = "row"
    next_step: str = ""
    statement: str = ""
    thin_layer: bool = False
    arms: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The logical columns that the verdict needs."""
        names = (self.scoped_by[1] if self.scoped_by else None, self.inserted_at, self.updated_at)
        return tuple(name for name in names if name)

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        return await _Watch(self, context).run()


@dataclass(slots=True)
class _Tally:
    """What the witnesses add up to."""

    breaches: dict[str, tuple[Witness, Entry | None]] = field(default_factory=dict)
    neighbours: int = 0
    undated: int = 0
    untold: int = 0
    guessed: int = 0
    others: int = 0
    emptied: list[str] = field(default_factory=list)


class _Watch:
    def __init__(self, proof: Absence, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.slot = f"{context.proof_index}:{proof.target}"
        self.tally = _Tally()
        self.grace = timedelta(seconds=context.settle_s)

    async def run(self) -> Judgement:
        context = self.context
        self.observer: Observer = await context.stores.observer(self.proof.kind, self.proof.target, self.proof.columns)
        raw = context.memory.watermark(context.check.id, self.slot)
        # Another phase asks another question: what was remembered for the old one is no baseline for the new one.
        before = Reading.from_json(raw) if raw and raw.get("phase") == context.phase.value else None
        if context.arming:
            # Life is no accusation: counts still on their way may count as life. Silence waits for them.
            self._remember(await self.observer.read(settled=self.proof.expect == "silence"))
            return Judgement.not_applicable("baseline taken")
        if self.proof.expect == "life":
            return await self._life(before)
        await require_same_time(context, self._clocks(before))
        return await self._silence(before)

    def _clocks(self, before: Reading | None) -> frozenset[str]:
        """Whose times are compared: those of the object, and those that say since when it is OpenIM's."""
        context, proof = self.context, self.proof
        role = _role(proof, context.profile)
        if proof.scoped_by and context.profile.scope.kind == "relation":
            listed = frozenset({role, context.profile.relation("scope").role})
            return listed if context.scope.everything_else_is_neighbour else listed | {VERIFIER}
        margin_s = context.profile.timing.clock_skew_max_s + SKEW_CAP_S
        if before is not None and (before.at - context.scope.phase_since).total_seconds() > margin_s:
            return frozenset()  # whatever came after the last reading came after the phase began, by any clock
        return frozenset({role, VERIFIER})

    def _remember(self, reading: Reading) -> None:
        self.context.watermarks[self.slot] = {**reading.to_json(), "phase": self.context.phase.value}
        self.context.horizons.append((self.slot, reading.at, reading.horizon))

    async def _silence(self, before: Reading | None) -> Judgement:
        await self._own_times()
        now = await self.observer.read(settled=before is None)
        watch = getattr(self.observer, "watch", None)
        if watch is not None:
            await self._collect(watch(self.context.profile.timing.observe_s), before)
            now = await self.observer.read()
        # A baseline beside an open transaction makes counters unsure: that matters where they would accuse, and nowhere else.
        unsure = self._exclusive() and self._unexplained(moved_counts(before, now))
        lost = [] if before is None else broken(before, now, but=() if unsure else ("baseline",))
        try:
            # Also when a counter restarted: what is seen is seen, whatever else can no longer be told.
            earlier = replace(self.tally, breaches=dict(self.tally.breaches), emptied=list(self.tally.emptied))
            await self._collect(self.observer.witnesses(before, now), before, now)
            if before is not None and self._late(before, now):
                # Told apart by counters that are still on their way, an insert looks like an update: look again at rest.
                self.tally, now = earlier, await self.observer.read(settled=True)
                await self._collect(self.observer.witnesses(before, now), before, now)
        except ContinuityLost as error:
            lost = [*lost, str(error)]
        judgement = self._judge(before, now, lost)
        if judgement.verdict is Verdict.HOLDS:
            self._remember(await self._still_owed(before, now))
        elif lost or before is None:
            # Re-arm from a settled reading, so that counts still on their way do not look like new writes next time.
            self._remember(now if before is None else await self.observer.read(settled=True))
        return judgement

    async def _still_owed(self, before: Reading | None, now: Reading) -> Reading:
        """The reading to go by next time: sure of its counters only where the transactions beside the last one are over."""
        if before is None or before.continuity.get("baseline") == now.continuity.get("baseline"):
            return now
        later = await self.observer.read(settled=True)
        if later.counters == now.counters:
            return replace(now, continuity={**now.continuity, "baseline": later.continuity["baseline"]})
        return replace(now, continuity={**now.continuity, "baseline": before.continuity["baseline"]})

    def _late(self, before: Reading, now: Reading) -> bool:
        """Whether more rows were written than the counters know of yet."""
        moved = moved_counts(before, now)
        return self.tally.guessed > moved.get("insert", 0) + moved.get("update", 0)

    # ---- witnesses ----

    async def _own_times(self) -> None:
        """Records that say themselves, by a time column, that they were written after their conversation moved."""
        if self.proof.kind != "relation":
            return
        profile = self.context.profile
        cutover = profile.since_phase(Phase.CUTOVER) or profile.since_phase(self.context.phase)
        telling = {"insert": self.proof.inserted_at, "update": self.proof.updated_at}
        for operation in sorted(self.proof.operations & telling.keys()):
            column = telling[operation]
            if column is None:
                continue
            where = (Where(column, ">", cutover),) if cutover else ()
            source = await self.context.stores.source(Rows(self.proof.target, self.proof.columns, where))
            async for chunk in source.chunks():
                await self._weigh([_own_witness(row, source.key, column) for row in chunk], None)

    async def _collect(
        self, witnesses: AsyncIterator[Witness], before: Reading | None, now: Reading | None = None
    ) -> None:
        batch: list[Witness] = []
        async for witness in witnesses:
            batch.append(witness)
            if len(batch) >= BATCH:
                await self._weigh(batch, before, now)
                batch = []
        await self._weigh(batch, before, now)

    async def _weigh(self, batch: Sequence[Witness], before: Reading | None, now: Reading | None = None) -> None:
        """Sort witnesses into breaches, neighbours' writes and others."""
        entries: dict[str, Entry] = {}
        scoped = self.proof.scoped_by
        if scoped and batch:
            ids = [str(item.row[scoped[1]]) for item in batch if item.row.get(scoped[1]) is not None]
            entries = await self.context.scope.entries(scoped[0], ids)
        for witness in batch:
            if witness.operation == "truncate" and witness.key not in self.tally.emptied:
                self.tally.emptied.append(witness.key)
            entry = entries.get(str(witness.row.get(scoped[1]))) if scoped else None
            # A deletion does not say whose it was; where nobody else may write, it is a breach all the same.
            if scoped and entry is None and (scoped[1] in witness.row or not self._exclusive()):
                self.tally.neighbours += 1
                continue
            operation = self._operation(witness, entry, before, now)
            if not operation & self.proof.operations:
                self.tally.others += 1
            elif not self._after_since(witness, entry, before):
                self.tally.undated += witness.since_baseline
            elif len(self.tally.breaches) < FINDINGS_MAX or witness.key in self.tally.breaches:
                self.tally.breaches.setdefault(witness.key, (witness, entry))
            else:
                self.tally.untold += 1

    def _operation(
        self, witness: Witness, entry: Entry | None, before: Reading | None, now: Reading | None
    ) -> frozenset[str]:
        """What kind of write a witness is, as far as can be told; an insert unless it is known to be an update."""
        if witness.operation != "write":
            return frozenset({witness.operation})
        since = self._since(entry)
        created = witness.row.get(self.proof.inserted_at or "")
        if created is not None and since is not None and created > since:
            return frozenset({"insert"})
        updated = witness.row.get(self.proof.updated_at or "")
        if updated is not None and since is not None and updated > since:
            return frozenset({"update"})
        if before is not None and now is not None and before.counters and now.counters:
            self.tally.guessed += 1
            inserts, updates = (now.counters[name] - before.counters[name] for name in ("insert", "update"))
            if not inserts and not updates:
                return frozenset({"insert", "update"})  # uncounted: whoever asks is told
            if not inserts:
                return frozenset({"update"})
            if updates and self.proof.operations == {"update"}:
                return frozenset({"insert"})  # told apart by nothing: reported once, by the check that watches inserts
        return frozenset({"insert"})

    def _since(self, entry: Entry | None) -> Any:
        return entry.since if entry else self.context.scope.phase_since

    def _after_since(self, witness: Witness, entry: Entry | None, before: Reading | None) -> bool:
        since = self._since(entry)
        if witness.written_at is not None:
            return bool(witness.written_at > since + self.grace)
        times = [witness.row.get(name) for name in (self.proof.inserted_at, self.proof.updated_at) if name]
        if any(at is not None and at > since + self.grace for at in times):
            return True
        if not witness.since_baseline or before is None or self.proof.thin_layer:
            return False
        if since <= before.at:
            return True
        return self._after_horizon(witness, since)

    def _after_horizon(self, witness: Witness, since: Any) -> bool:
        """Whether a run between the move and now remembered a horizon that the write lies beyond."""
        if witness.position is None:
            return False
        from verifier.stores.postgres_observer import Snapshot

        later = [horizon for at, horizon in self.context.memory.horizons(self.slot) if at >= since]
        return bool(later) and not Snapshot.parse(later[0]).saw(witness.position)

    # ---- verdict ----

    def _judge(self, before: Reading | None, now: Reading, lost: Sequence[str]) -> Judgement:
        breaches = list(self.tally.breaches.values())
        exclusive = self._exclusive()
        moved = moved_counts(before, now)
        coverage = Coverage(
            text=self._coverage_text(before, now, exclusive, lost),
            unseen=self._unseen(now, exclusive),
            observed_s=self._observed_s(now, exclusive),
        )
        common: dict[str, Any] = {"coverage": (coverage,), "notes": self._notes(), "queries": self.observer.queries}
        if breaches:
            findings = tuple(self._finding(witness, entry, now) for witness, entry in breaches)
            return Judgement(
                verdict=Verdict.VIOLATED, findings=findings, findings_total=len(findings) + self.tally.untold, **common
            )
        if lost:
            reason = f"continuity broken ({'; '.join(lost)}): what was written in between cannot be told; armed anew"
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        if before is None:
            reason = "no baseline yet: it is taken now; take one ahead with `verifier baseline`"
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        if too_little := self._too_little(now, exclusive, moved):
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=too_little, **common)
        if exclusive and moved and (guilty := self._unexplained(moved)):
            finding = self._counter_finding(guilty, moved, before, now)
            return Judgement(verdict=Verdict.VIOLATED, findings=(finding,), findings_total=1, **common)
        if exclusive and any(moved.get(name) for name in self.proof.operations):
            notes = (
                *common.pop("notes"),
                f"aborted attempts: {counts_text(moved)} counted, nothing stayed and nothing was removed",
            )
            return Judgement(verdict=Verdict.HOLDS, notes=notes, **common)
        if now.counters:
            common["notes"] = (*common["notes"], self._counter_note(moved, exclusive))
        return Judgement(verdict=Verdict.HOLDS, **common)

    def _too_little(self, now: Reading, exclusive: bool, moved: dict[str, int]) -> str:
        """Why what is left of the techniques does not prove silence here, or "" where it does."""
        if exclusive and moved.get("write"):
            return (
                f"the server counted {moved['write']} writes of a kind that it does not tell, and no record shows one. When that is "
                f"explained: verifier baseline --only {self.context.check.id}"
            )
        telling = (self.proof.inserted_at, self.proof.updated_at)
        if now.weak and (exclusive or not (now.horizon or any(telling))):
            return f"too little is left to prove silence with: {now.weak}"
        return ""

    def _counter_note(self, moved: dict[str, int], exclusive: bool) -> str:
        if not moved:
            return f"{self.proof.target}: the server's counter did not move at all"
        return f"{self.proof.target}: the server counted {counts_text(moved)}" + (
            "" if exclusive else ", neighbours included"
        )

    def _unexplained(self, moved: dict[str, int]) -> str:
        """On an exclusive object: why a counter that moved without a witness is a breach, or "" where it is not."""
        if moved.get("publish") and "publish" in self.proof.operations:
            return "something still publishes here"
        wrote = any(moved.get(name) for name in self.proof.operations)
        if wrote and moved.get("delete"):
            return "written and removed, or rolled back: something still writes here"
        return ""

    def _exclusive(self) -> bool:
        profile = self.context.profile
        if self.proof.kind == "relation":
            shared = profile.relation(self.proof.target).neighbours
        elif self.proof.kind == "channel":
            channel = profile.channel(self.proof.target)
            shared = None if channel.only_channel else channel.neighbours
        else:
            shared = profile.queue(self.proof.target).neighbours
        return self.context.phase.reached(Phase.FROZEN) and shared is None

    def _coverage_text(self, before: Reading | None, now: Reading, exclusive: bool, lost: Sequence[str]) -> str:
        parts = [self.proof.statement] if self.proof.statement else []
        if before is not None:
            parts.append(
                f"{span_text(now.at - before.at)} since the last reading, continuity {'broken' if lost else 'kept'}"
            )
        parts.append(
            "nobody else writes there" if exclusive else "shared with declared neighbours: judged by witnesses"
        )
        if self.tally.neighbours:
            parts.append(f"{self.tally.neighbours} writes of conversations outside the scope left alone")
        return "; ".join(parts)

    def _observed_s(self, now: Reading, exclusive: bool) -> float:
        """How long a tap has listened, where no counter speaks for the time between two runs."""
        tapped = getattr(self.observer, "watch", None) is not None
        return self.context.profile.timing.observe_s if tapped and not (exclusive and now.counters) else 0.0

    def _unseen(self, now: Reading, exclusive: bool) -> tuple[str, ...]:
        complete = getattr(self.observer, "complete", False)
        layer = ("an update of other columns that back-dates the ordering",) if self.proof.thin_layer else ()
        doubts: tuple[str, ...] = getattr(self.observer, "doubts", ())
        return (
            *layer,
            *now.blind,
            *doubts,
            *(() if complete or (exclusive and now.counters) else self.observer.unseen),
        )

    def _notes(self) -> tuple[str, ...]:
        emptied = (f"emptied since the last look: {', '.join(self.tally.emptied)}",) if self.tally.emptied else ()
        if not self.tally.undated:
            return emptied
        return (
            *emptied,
            f"{self.tally.undated} writes in scope lie between the baseline and their conversation's move, as far as can be told",
        )

    def _finding(self, witness: Witness, entry: Entry | None, now: Reading) -> Finding:
        since = self._since(entry)
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
        return self._of(problem, witness.key, now)

    def _counter_finding(self, why: str, moved: dict[str, int], before: Reading, now: Reading) -> Finding:
        problem = Problem(
            summary=f"{self.observer.label}: {why}",
            expected=f"counters as at {before.at.isoformat(timespec='seconds')}",
            actual=counts_text(moved),
            next_step=f"{self.proof.next_step} When it is settled: verifier baseline --only {self.context.check.id}".strip(),
            evidence={"known by": "counters of the server, continuity kept", "object": self.observer.label},
        )
        return self._of(problem, "counters", now)

    def _of(self, problem: Problem, key: str, now: Reading) -> Finding:
        raw_key = self.context.raw_key(self.proof.target, key)
        return self.context.finding(problem, key=key, raw_key=raw_key, first_seen_at=now.at, confirmed_at=now.at)

    # ---- life ----

    async def _life(self, before: Reading | None) -> Judgement:
        """The object is still in use: its counter moved, or its newest record is young enough."""
        relation = self.context.profile.relation(self.proof.target)
        now = await self.observer.read()
        moved = moved_counts(before, now) if before and not broken(before, now) else {}
        self._remember(now)
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
            verdict=Verdict.VIOLATED, findings=(self._of(problem, "liveness", now),), findings_total=1, **common
        )


def _role(proof: Absence, profile: Profile) -> str:
    if proof.kind == "relation":
        return profile.relation(proof.target).role
    return (profile.channel(proof.target) if proof.kind == "channel" else profile.queue(proof.target)).role


def _own_witness(row: Row, key: Sequence[str], column: str) -> Witness:
    return Witness(
        operation="write",
        key=" / ".join(str(row[name]) for name in key),
        row=row,
        how=f"its own column {column}",
        written_at=row[column],
        since_baseline=False,
    )
