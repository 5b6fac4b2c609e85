"""`monotonic`: does a number of each record never fall from one run to the next?

The highest value ever seen of each record is remembered, so a fall stays a finding until the number reaches it again. Of more
than `REMEMBERED_MAX` records, those with the lowest hashes are remembered; they are the same from run to run.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.models import Profile
from verifier.proofs.again import CONTROLS
from verifier.proofs.context import NO_BASELINE, Context
from verifier.proofs.lookups import LOOKUP_BATCH
from verifier.proofs.matching import key_text
from verifier.proofs.protocol import Description, describe_reading
from verifier.proofs.whole import Tally, Whole
from verifier.stores.errors import PartialAnswer
from verifier.stores.pool import Stores

REMEMBERED_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class Monotonic:
    """Read `subject` and compare the column `value` of each record with the highest value of earlier runs.

    `name` is the column that identifies a record. Of several records with one name, the highest value counts. A record that
    is gone counts as fallen. `judge` receives the name, the highest earlier value and the present one (None if the record is
    gone), and returns the problem. `unit`, `statement` and `unseen` are as in `RecordProof`.
    """

    subject: Rows
    name: str
    value: str
    judge: Callable[[str, int, int | None], Problem]
    unit: str = "rows"
    statement: str = ""
    unseen: tuple[str, ...] = ()
    technique: ClassVar[str] = (
        "monotonic: no number falls below the highest of earlier runs; a fall is confirmed in a second pass"
    )
    takes_baseline: ClassVar[bool] = True

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        if context.judges_another_proof:
            return Judgement.not_applicable("another proof of this check")
        return await _Comparison(self, context).run()

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The queries of the relation."""
        return await describe_reading((self.subject,), self.unseen, profile, stores)


class _Comparison:
    def __init__(self, proof: Monotonic, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.slot = f"{context.proof_index}:{proof.subject.relation}"
        self.seen = 0
        self.unread = 0
        self.silent: set[str] = set()
        self.gone_unknown: set[str] = set()

    async def run(self) -> Judgement:
        context = self.context
        remembered = context.memory.watermark(context.check_id, self.slot) or {}
        before: Mapping[str, int] = remembered.get("highest") or {}
        self.source = await context.stores.source(self.proof.subject)
        self.whole = Whole(self.source, self.proof.unit)
        self.clock = await context.stores.clock_of(self.proof.subject.relation)
        now = await self._values()
        fallen = await self._fallen(before, now)
        passes_at: list[datetime] = []
        if fallen:
            passes_at.append(await self.clock())
            context.progress(0, len(fallen), "suspects, waiting for the second pass")
            await context.settle(self.clock)
            again = await self._look_up(list(fallen))
            silent = set(self.silent)
            fallen = {name: again.get(name) for name in fallen if (again.get(name) or 0) < before[name]}
            fallen = await self._without_unknown(fallen, now, silent)
            passes_at.append(await self.clock())
        if context.only_key is None:
            self._remember(before, now)
        if context.baselining:
            return Judgement.not_applicable("baseline taken")
        findings = tuple(self._finding(name, before[name], value, passes_at) for name, value in fallen.items())
        return self._conclude(findings, before)

    async def _values(self) -> dict[str, int]:
        """The present values of the records that are or will be remembered."""
        if self.context.only_key is not None:
            await self.whole.conclude(None)
            name = str(json.loads(self.context.only_key)[1])
            return await self._look_up([name])
        kept: dict[str, int] = {}
        tally = Tally(self.source)
        await self.whole.begin()
        async for chunk in self.source.chunks():
            tally.add(chunk)
            for row in chunk:
                self.seen += 1
                self._take(kept, row)
            if len(kept) > 2 * REMEMBERED_MAX:
                kept = _lowest(kept)
            self.context.progress(self.seen, None, self.proof.unit)
        await self.whole.conclude(tally.distinct)
        return _lowest(kept)

    def _take(self, values: dict[str, int], row: Row) -> None:
        name, value = key_text(row[self.proof.name]), row[self.proof.value]
        if name is not None and isinstance(value, int):
            values[name] = max(value, values.get(name, value))
        elif value is not None:
            self.unread += 1

    async def _fallen(self, before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int | None]:
        """The records whose value is lower than remembered. A name that is not in `now` is looked up."""
        if self.context.only_key is not None:
            before = {name: value for name, value in before.items() if name == json.loads(self.context.only_key)[1]}
        present = {**now, **await self._look_up([name for name in before if name not in now])}
        return {name: present.get(name) for name, value in before.items() if (present.get(name) or 0) < value}

    async def _without_unknown(
        self, fallen: Mapping[str, int | None], now: Mapping[str, int], silent: set[str]
    ) -> dict[str, int | None]:
        """The fallen records without those that are not known to be gone: a store did not answer for them, records may be
        hidden, or look-ups by name do not even find records that were just read."""
        gone = {name for name, value in fallen.items() if value is None}
        controls = list(now)[:CONTROLS]
        if gone and (self.whole.doubts or set(await self._look_up(controls)) != set(controls)):
            self.gone_unknown = gone
        self.gone_unknown |= silent & gone
        return {name: value for name, value in fallen.items() if name not in self.gone_unknown}

    async def _look_up(self, names: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        self.silent = set()
        for start in range(0, len(names), LOOKUP_BATCH):
            try:
                rows = await self.source.lookup(self.proof.name, names[start : start + LOOKUP_BATCH])
            except PartialAnswer as partial:
                rows = partial.rows
                self.silent |= {str(key_text(name)) for name in partial.unanswered}
            for row in rows:
                self._take(found, row)
        return found

    def _remember(self, before: Mapping[str, int], now: Mapping[str, int]) -> None:
        highest = {name: max(value, now.get(name, value)) for name, value in before.items()}
        self.context.watermarks[self.slot] = {"highest": _lowest({**now, **highest})}

    def _finding(self, name: str, before: int, value: int | None, passes_at: Sequence[datetime]) -> Finding:
        return self.context.finding(
            self.proof.judge(name, before, value),
            key=name,
            raw_key=self.context.raw_key(name),
            first_seen_at=passes_at[0],
            confirmed_at=passes_at[-1],
            evidence={"read from": self.source.label, "highest before": str(before)},
        )

    def _conclude(self, findings: tuple[Finding, ...], before: Mapping[str, int]) -> Judgement:
        text = "; ".join(filter(None, (self.proof.statement, f"{len(before)} compared with the highest earlier value")))
        unseen = tuple(dict.fromkeys((*self.proof.unseen, *self.whole.unseen)))
        coverage = Coverage(min(len(before), self.seen), self.seen, self.proof.unit, text, unseen)
        doubts = list(self.whole.doubts)
        if self.gone_unknown:
            doubts.append(
                f"{len(self.gone_unknown)} {self.proof.unit} were not found, and it is not known that they are gone"
            )
        if self.unread:
            doubts.append(f"{self.unread} values of {self.proof.value} are not numbers")
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
        if not before:
            if not self.seen:
                return Judgement.not_applicable(f"empty: no {self.proof.unit} in {self.source.label}")
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=NO_BASELINE, **common)
        return Judgement(verdict=Verdict.HOLDS, **common)


def _lowest(values: Mapping[str, int]) -> dict[str, int]:
    """The records with the lowest hashes: a sample that is stable while records come and go."""
    if len(values) <= REMEMBERED_MAX:
        return dict(values)
    return {name: values[name] for name in heapq.nsmallest(REMEMBERED_MAX, values, key=_hash)}


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
