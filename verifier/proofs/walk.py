"""Carries out `Rule` and `Reconcile`: read a relation once, then judge each suspect a second time.

A difference that is seen once proves nothing on a live system, because a write may be in transit between two stores. A suspect
becomes a finding only if the second pass, a settle window later by the store's own clock, sees the same difference with both
sides unchanged. A suspect that keeps changing is judged up to three times and is then reported as unresolved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from verifier.model.finding import Finding
from verifier.model.invariant import Problem, Row
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.proofs.clocks import clocks_of, require_same_time
from verifier.proofs.context import Context
from verifier.proofs.records import RecordProof, ValueOf
from verifier.stores.protocols import OrderedSource, Source

SUSPECTS_MAX = 10_000
PASSES_MAX = 3
LOOKUP_BATCH = 500
VOLATILE_COLUMNS = frozenset({"ttl_ms", "idle_s"})
"""Columns that change by themselves. They do not count as a change of a suspect."""


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A difference that was seen once. `facts` is a keyed digest of both sides, enough to see whether they changed."""

    raw_key: str
    facts: str
    first_seen_at: datetime

    def to_json(self) -> list[str]:
        return [self.raw_key, self.facts, self.first_seen_at.isoformat()]

    @classmethod
    def from_json(cls, raw: Sequence[str]) -> _Suspect:
        return cls(raw[0], raw[1], datetime.fromisoformat(raw[2]))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A suspect together with the record and what is wrong with it now."""

    suspect: _Suspect
    row: Row
    problem: Problem


def _facts(row: Row) -> str:
    kept = {name: value for name, value in row.items() if name not in VOLATILE_COLUMNS}
    return json.dumps(kept, sort_keys=True, default=str)


async def _look_up(wanted: Sequence[Any], homes: Iterable[tuple[Source, str]]) -> list[tuple[Row, ...]]:
    """For each value, the records of all homes (source, column) with that value. None matches no record."""
    index: dict[str, list[Row]] = {}
    values = list(dict.fromkeys(value for value in wanted if value is not None))
    for home, there in homes:
        for start in range(0, len(values), LOOKUP_BATCH):
            for row in await home.lookup(there, values[start : start + LOOKUP_BATCH]):
                index.setdefault(str(row[there]), []).append(row)
    return [tuple(index.get(str(value), ())) if value is not None else () for value in wanted]


async def _follow(partners: Sequence[Sequence[Row]], column: str, home: Source, there: str) -> list[tuple[Row, ...]]:
    """For each record, the records of `home` that its partners lead to by their `column`."""
    leading = [[row[column] for row in found if row.get(column) is not None] for found in partners]
    values = list(dict.fromkeys(value for found in leading for value in found))
    reached = dict(zip(values, await _look_up(values, [(home, there)]), strict=True))
    return [tuple(row for value in dict.fromkeys(found) for row in reached[value]) for found in leading]


class _Walk:
    """The reading of one relation for one proof."""

    def __init__(self, proof: RecordProof, context: Context) -> None:
        self.proof = proof
        self.partners = proof.partners
        self.context = context
        self.seen = 0
        self.left_out = 0
        self.overflow = 0

    async def open(self) -> None:
        stores = self.context.stores
        self.source = await stores.source(self.proof.subject)
        self.homes: list[tuple[Source, str]] = []
        self.also: list[tuple[ValueOf, Source, str]] = []
        self.then: list[tuple[str, Source, str]] = []
        if self.partners is not None:
            self.homes = [(await stores.source(rows), column) for rows, column in self.partners.homes]
            self.also = [(here, await stores.source(rows), there) for here, rows, there in self.partners.also]
            self.then = [(here, await stores.source(rows), there) for here, rows, there in self.partners.then]
        self.clock = await stores.clock_of(self.proof.subject.relation)

    @property
    def queries(self) -> tuple[str, ...]:
        partners = (*(home for home, _ in self.homes), *(home for _, home, _ in (*self.also, *self.then)))
        return (*self.source.queries, *(query for home in partners for query in home.queries))

    async def first_pass(self) -> dict[str, _Suspect]:
        """Read the relation, from the checkpoint on if there is one, and return the suspects by key."""
        if self.context.only_key is not None:
            candidates = await self.judge(await self._rows_of([self.context.only_key]))
            return {item.suspect.raw_key: item.suspect for item in candidates}
        suspects, position, done = self._resumed()
        if done:
            return suspects
        async for chunk in self.source.chunks() if position is None else self._ordered().chunks(position):
            for item in await self.judge(chunk):
                if len(suspects) < SUSPECTS_MAX or item.suspect.raw_key in suspects:
                    suspects[item.suspect.raw_key] = item.suspect
                else:
                    self.overflow += 1
            self.context.progress(self.seen, None, self.proof.unit)
            if self.proof.sample is not None and self.seen >= self.proof.sample:
                break
            self._checkpoint(suspects)
        self._checkpoint(suspects, done=True)
        return suspects

    def _ordered(self) -> OrderedSource:
        if not isinstance(self.source, OrderedSource):
            raise TypeError(
                f"{self.source.label} has no order to resume in"
            )  # pragma: no cover - only an ordered source has positions
        return self.source

    # ---- checkpoints ----

    @property
    def _slot(self) -> str:
        return f"walk {self.context.proof_index}"

    @property
    def _question(self) -> str:
        """A digest of what the proof asks. A checkpoint of another question does not fit."""
        proof = self.proof
        asked = (
            type(proof).__name__,
            self.context.phase.value,
            self.queries,
            proof.unit,
            proof.statement,
            proof.sample,
        )
        return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _checkpoint(self, suspects: Mapping[str, _Suspect], *, done: bool = False) -> None:
        checkpoints = self.context.checkpoints
        position = self.source.position if isinstance(self.source, OrderedSource) else None
        if checkpoints is None or (position is None and not done):
            return

        def state() -> dict[str, Any]:
            return {
                "question": self._question,
                "position": position,
                "done": done,
                "seen": self.seen,
                "left_out": self.left_out,
                "overflow": self.overflow,
                "suspects": [item.to_json() for item in suspects.values()],
            }

        checkpoints.save(self.context.check_id, self._slot, state)

    def _resumed(self) -> tuple[dict[str, _Suspect], str | None, bool]:
        """Suspects, position and whether the reading was complete; empty if no checkpoint fits."""
        checkpoints = self.context.checkpoints
        raw = checkpoints.load(self.context.check_id, self._slot) if checkpoints else None
        if raw is None or raw["question"] != self._question:
            return {}, None, False
        if not raw["done"] and not isinstance(self.source, OrderedSource):
            return {}, None, False
        self.seen, self.left_out, self.overflow = raw["seen"], raw["left_out"], raw["overflow"]
        suspects = [_Suspect.from_json(item) for item in raw["suspects"]]
        return {item.raw_key: item for item in suspects}, raw["position"], raw["done"]

    async def judge(self, rows: Sequence[Row]) -> list[_Candidate]:
        """Judge some records as they are now and return those with a problem."""
        applies = self.proof.applies
        chosen = [row for row in rows if applies is None or applies(row)]
        self.seen += len(chosen)
        self.left_out += len(rows) - len(chosen)
        partners = await self._partners(chosen)
        now = await self.clock() if chosen else None
        candidates = []
        for row, matching in zip(chosen, partners, strict=True):
            problem = self.proof.problem_of(row, matching)
            if problem is not None and now is not None:
                suspect = _Suspect(self._raw_key(row), self._digest(row, matching), now)
                candidates.append(_Candidate(suspect, row, problem))
        return candidates

    def _digest(self, row: Row, partners: Sequence[Row]) -> str:
        # Keyed, because it is stored and may cover a phone number. Partners come in any order.
        both = json.dumps([_facts(row), sorted(map(_facts, partners))])
        return self.context.memory.fingerprint(self.context.check_id, both)

    async def _partners(self, rows: Sequence[Row]) -> list[tuple[Row, ...]]:
        if self.partners is None:
            return [()] * len(rows)
        here, convert = self.partners.column, self.partners.convert
        wanted = [None if row[here] is None else convert(row[here]) for row in rows]
        partners = await _look_up(wanted, self.homes)
        for column, home, there in self.also:
            values = [column(row) if callable(column) else row[column] for row in rows]
            further = await _look_up(values, [(home, there)])
            partners = [(*found, *more) for found, more in zip(partners, further, strict=True)]
        for column, home, there in self.then:
            partners = [
                (*found, *more)
                for found, more in zip(partners, await _follow(partners, column, home, there), strict=True)
            ]
        return partners

    def _raw_key(self, row: Row) -> str:
        return self.context.raw_key(*(_key_text(row[name]) for name in self.source.key))

    async def _rows_of(self, raw_keys: Iterable[str]) -> list[Row]:
        """The records with some keys, as they are now."""
        wanted = set(raw_keys)
        firsts = list(dict.fromkeys(json.loads(key)[1] for key in wanted))
        rows: list[Row] = []
        for start in range(0, len(firsts), LOOKUP_BATCH):
            rows += await self.source.lookup(self.source.key[0], firsts[start : start + LOOKUP_BATCH])
        return [row for row in rows if self._raw_key(row) in wanted]

    async def second_pass(self, suspects: dict[str, _Suspect]) -> tuple[list[tuple[_Candidate, datetime]], int]:
        """Judge the suspects again until each one is confirmed, healed, or was judged `PASSES_MAX` times.

        Returns the confirmed ones as they are now, each with the time of its first pass, and the number of unresolved ones.
        """
        confirmed: list[tuple[_Candidate, datetime]] = []
        seen = self.seen, self.left_out
        for _ in range(PASSES_MAX):
            if not suspects:
                break
            self.context.progress(0, len(suspects), "suspects, waiting for the second pass")
            await self.context.settle(self.clock, self.proof.second_pass_s)
            again = {item.suspect.raw_key: item for item in await self.judge(await self._rows_of(suspects))}
            requeued = {}
            for key, suspect in suspects.items():
                now = again.get(key)
                if now is None:
                    continue
                if now.suspect.facts == suspect.facts:
                    confirmed.append((now, suspect.first_seen_at))
                else:
                    requeued[key] = replace(now.suspect, first_seen_at=suspect.first_seen_at)
            suspects = requeued
        self.seen, self.left_out = seen
        return confirmed, len(suspects)

    def finding(self, candidate: _Candidate, first_seen_at: datetime) -> Finding:
        relation = self.context.profile.relations.get(self.proof.subject.relation)
        shown = [
            "‹hidden›" if relation and relation.sensitive(name) else _key_text(candidate.row[name])
            for name in self.source.key
        ]
        return self.context.finding(
            candidate.problem,
            key=" / ".join(shown),
            raw_key=candidate.suspect.raw_key,
            first_seen_at=first_seen_at,
            confirmed_at=candidate.suspect.first_seen_at,
            evidence={"read from": self.source.label}
            | ({"compared with": " or ".join(home.label for home, _ in self.homes)} if self.homes else {}),
        )


def _key_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


async def walk(proof: RecordProof, context: Context) -> Judgement:
    """Carry out a proof that reads one relation record by record. Raises ClocksApart and StoreError."""
    await require_same_time(context, clocks_of(proof, context.profile))
    if context.judges_another_proof:
        return Judgement.not_applicable("another proof of this check")
    walker = _Walk(proof, context)
    await walker.open()
    suspects = await walker.first_pass()
    confirmed, unresolved = await walker.second_pass(suspects)
    findings = tuple(walker.finding(candidate, first_seen_at) for candidate, first_seen_at in confirmed)
    return _conclude(walker, findings, unresolved)


def _conclude(walker: _Walk, findings: tuple[Finding, ...], unresolved: int) -> Judgement:
    proof, relation = walker.proof, walker.context.profile.relations.get(walker.proof.subject.relation)
    min_rows = relation.min_rows if relation else 0
    sampled = proof.sample is not None and walker.seen >= proof.sample
    coverage = Coverage(walker.seen, None if sampled else walker.seen, proof.unit, proof.statement, proof.unseen)
    notes = [f"{walker.overflow} more suspects had no second pass"] if walker.overflow else []
    if unresolved:
        notes.append(f"{unresolved} suspects kept changing through {PASSES_MAX} passes")
    common = {"coverage": (coverage,), "notes": tuple(notes), "queries": walker.queries}
    if findings:
        total = len(findings) + walker.overflow
        return Judgement(verdict=Verdict.VIOLATED, findings=findings, findings_total=total, **common)  # type: ignore[arg-type]
    if unresolved or walker.overflow:
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason="; ".join(notes), **common)  # type: ignore[arg-type]
    if walker.seen < min_rows:
        reason = f"only {walker.seen} {proof.unit}; the profile expects at least {min_rows}"
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)  # type: ignore[arg-type]
    if walker.seen == 0 and not proof.empty_holds:
        what = (
            f"{walker.left_out} records, none of which the check applies to" if walker.left_out else f"no {proof.unit}"
        )
        return Judgement.not_applicable(f"empty: {what} in {walker.source.label}")
    return Judgement(verdict=Verdict.HOLDS, **common)  # type: ignore[arg-type]
