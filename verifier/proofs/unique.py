"""`unique`: do records that must differ have the same value?

Memory is bounded. A first reading marks in a bit field which values may occur twice, and a second reading collects only those.
Groups that clash are confirmed in a second pass after the settle window, like every suspect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.models import Profile
from verifier.proofs.again import Again, KeyText, key_of, text_of
from verifier.proofs.context import Context
from verifier.proofs.protocol import Description, describe_reading
from verifier.proofs.whole import Tally, Whole
from verifier.stores.pool import Stores

BITS = 1 << 27
"""16 MiB. Of ten million values, about one in fourteen is collected although it is unique."""
CANDIDATES_MAX = 1_000_000
PASSES_MAX = 3

Group = tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Unique:
    """Read `subject` and group its records by `value`; `judge` returns what is wrong with a group of two or more, or None.

    A record whose value is None is left out. `unit`, `statement` and `unseen` are as in `RecordProof`.
    """

    subject: Rows
    value: Callable[[Row], str | None]
    judge: Callable[[Sequence[Row]], Problem | None]
    unit: str = "rows"
    statement: str = ""
    unseen: tuple[str, ...] = ()
    technique: ClassVar[str] = "unique: no two records have the same value; a clash is confirmed in a second pass"
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        if context.judges_another_proof:
            return Judgement.not_applicable("another proof of this check")
        return await _Search(self, context).run()

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The queries of the relation."""
        return await describe_reading((self.subject,), self.unseen, profile, stores)


class _Search:
    def __init__(self, proof: Unique, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.seen = 0

    async def run(self) -> Judgement:
        stores = self.context.stores
        self.source = await stores.source(self.proof.subject)
        self.again = Again(self.source)
        self.whole = Whole(self.source, self.proof.unit)
        self.clock = await stores.clock_of(self.proof.subject.relation)
        candidates = await self._candidates()
        overflow = len(candidates) > CANDIDATES_MAX
        groups = await self._groups(candidates) if candidates and not overflow else {}
        suspects = {value: group for value, group in groups.items() if self._problem(group) is not None}
        first_seen_at = await self.clock() if suspects else None
        confirmed, unresolved = await self._confirm(suspects)
        findings = tuple(self._finding(value, group, first_seen_at) for value, group in confirmed.items())
        return self._conclude(findings, unresolved, overflow)

    def _problem(self, group: Group) -> Problem | None:
        return self.proof.judge(group) if len(group) > 1 else None

    async def _candidates(self) -> set[int]:
        """The hashes that may occur more than once; a few of them do not."""
        if self.context.only_key is not None:
            await self.whole.conclude(None)
            return {_hash(json.loads(self.context.only_key)[1])}
        bits, found, tally = bytearray(BITS // 8), set(), Tally(self.source)
        await self.whole.begin()
        async for chunk in self.source.chunks():
            tally.add(chunk)
            for row in chunk:
                value = self.proof.value(row)
                if value is None:
                    continue
                self.seen += 1
                number = _hash(value)
                byte, bit = divmod(number % BITS, 8)
                if bits[byte] >> bit & 1:
                    found.add(number)
                bits[byte] |= 1 << bit
            self.context.progress(self.seen, None, self.proof.unit)
            if len(found) > CANDIDATES_MAX:
                break
        await self.whole.conclude(tally.distinct if len(found) <= CANDIDATES_MAX else None)
        return found

    async def _groups(self, candidates: set[int]) -> dict[str, Group]:
        groups: dict[str, dict[KeyText, Row]] = {}
        async for chunk in self.source.chunks():
            self._collect(chunk, groups, lambda value: _hash(value) in candidates)
        return {value: tuple(rows.values()) for value, rows in groups.items() if len(rows) > 1}

    def _collect(
        self, rows: Iterable[Row], groups: dict[str, dict[KeyText, Row]], wanted: Callable[[str], bool]
    ) -> None:
        """Sort records into groups. A record that a scanning store returns twice counts once."""
        for row in rows:
            value = self.proof.value(row)
            if value is not None and wanted(value):
                groups.setdefault(value, {})[text_of(key_of(self.source, row))] = row

    async def _confirm(self, suspects: dict[str, Group]) -> tuple[dict[str, Group], int]:
        confirmed: dict[str, Group] = {}
        by_reading = await self._not_findable(suspects)
        for _ in range(PASSES_MAX):
            if not suspects:
                break
            self.context.progress(0, len(suspects), "suspects, waiting for the second pass")
            await self.context.settle(self.clock)
            again, silent = await self._read_again({key: suspects[key] for key in suspects if key not in by_reading})
            if rest := by_reading & suspects.keys():
                again |= await self._groups({_hash(value) for value in rest})
            requeued = {}
            for value, group in suspects.items():
                now = again.get(value, ())
                if value in silent:
                    requeued[value] = group
                elif self._problem(now) is None:
                    continue
                elif _facts(now) == _facts(group):
                    confirmed[value] = now
                else:
                    requeued[value] = now
            suspects = requeued
        return confirmed, len(suspects)

    async def _not_findable(self, suspects: dict[str, Group]) -> set[str]:
        """The groups with a record that a look-up by its key does not find: they are read again instead."""
        found, _ = await self._read_again(suspects)
        return {value for value, group in suspects.items() if len(found.get(value, ())) < len(group)}

    async def _read_again(self, suspects: dict[str, Group]) -> tuple[dict[str, Group], set[str]]:
        """The groups by look-ups of their records, and those with a record that was not answered for."""
        keys = {value: [key_of(self.source, row) for row in group] for value, group in suspects.items()}
        rows = await self.again.look_up([key for group in keys.values() for key in group])
        groups: dict[str, dict[KeyText, Row]] = {}
        self._collect(rows, groups, lambda value: value in suspects)
        silent = {value for value, group in keys.items() if any(text_of(key) in self.again.silent for key in group)}
        return {value: tuple(rows.values()) for value, rows in groups.items()}, silent

    def _finding(self, value: str, group: Group, first_seen_at: datetime | None) -> Finding:
        problem, now = self._problem(group), first_seen_at
        if problem is None or now is None:
            raise RuntimeError("a confirmed clash without a problem")
        return self.context.finding(
            problem,
            key=" / ".join(str(row[self.source.key[0]]) for row in group[:4]),
            raw_key=self.context.raw_key(value),
            first_seen_at=now,
            confirmed_at=now,
            evidence={"read from": self.source.label},
        )

    def _conclude(self, findings: tuple[Finding, ...], unresolved: int, overflow: bool) -> Judgement:
        proof = self.proof
        unseen = tuple(dict.fromkeys((*proof.unseen, *self.whole.unseen)))
        coverage = Coverage(self.seen, self.seen, proof.unit, proof.statement, unseen)
        doubts = list(self.whole.doubts)
        if overflow:
            doubts.append(
                f"more than {CANDIDATES_MAX} {proof.unit} may clash, which is too many to compare. Check how the profile maps this relation."
            )
        if unresolved:
            doubts.append(f"{unresolved} groups kept changing through {PASSES_MAX} passes")
        common: dict[str, Any] = {"coverage": (coverage,), "queries": self.source.queries, "notes": tuple(doubts)}
        if findings:
            return Judgement(
                verdict=Verdict.VIOLATED,
                findings=findings,
                findings_total=len(findings),
                partial=bool(doubts),
                **common,
            )
        if doubts:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason="; ".join(doubts), **common)
        if not self.seen and self.context.only_key is None:
            return Judgement.not_applicable(f"empty: no {proof.unit} in {self.source.label}")
        return Judgement(verdict=Verdict.HOLDS, **common)


def _hash(value: str) -> int:
    return int.from_bytes(hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _facts(group: Group) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in group)
