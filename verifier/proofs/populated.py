"""`populated`: does a relation have records while it must?

The other proofs judge the records that are there. An empty relation has none to judge, so they say "empty": but a session cache
that is empty while people are signed in, or a table that was emptied, is a breach and not an absence of data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.models import Profile
from verifier.proofs.context import Context
from verifier.proofs.protocol import Description, describe_reading
from verifier.proofs.whole import account_of
from verifier.stores.pool import Stores
from verifier.stores.protocols import Source


@dataclass(frozen=True, kw_only=True)
class Populated:
    """`subject` must have a record while `beside` has one. Without `beside`, it must have one if it had one in an earlier run.

    `counts` selects the records of `beside` that demand one; its others only show that something is there, so that an empty
    `subject` is then inconclusive. `judge` receives such a record, or an empty one without `beside`, and returns the problem.
    `unit` names the records of `subject`, `others` those of `beside`.
    """

    subject: Rows
    judge: Callable[[Row], Problem]
    beside: Rows | None = None
    counts: Callable[[Row], bool] | None = None
    unit: str = "rows"
    others: str = "rows"
    doubt: str = ""
    unseen: tuple[str, ...] = ()
    technique: ClassVar[str] = "populated: a relation that must have records is not empty; confirmed in a second pass"

    @property
    def takes_baseline(self) -> bool:
        """Whether a baseline is taken: without `beside`, what had records is remembered."""
        return self.beside is None

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        if context.judges_another_proof:
            return Judgement.not_applicable("another proof of this check")
        return await _Look(self, context).run()

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The queries of both relations, which are read up to the first record."""
        relations = (self.subject, *((self.beside,) if self.beside else ()))
        return await describe_reading(relations, self.unseen, profile, stores)


class _Look:
    def __init__(self, proof: Populated, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.slot = f"{context.proof_index}:{proof.subject.relation}"
        self.hidden = ""

    async def run(self) -> Judgement:
        stores = self.context.stores
        self.source = await stores.source(self.proof.subject)
        self.beside = await stores.source(self.proof.beside) if self.proof.beside else None
        self.clock = await stores.clock_of(self.proof.subject.relation)
        seen = await self._seen()
        if self.beside is None and seen:
            self.context.watermarks[self.slot] = {"had": True}
        if self.context.baselining:
            if self.beside is None and not seen:
                self.context.watermarks[self.slot] = {"had": False}  # an emptied relation is accepted by a new baseline
            return Judgement.not_applicable("baseline taken")
        if seen:
            return self._judgement(Verdict.HOLDS, seen)
        if self.hidden:
            return self._judgement(Verdict.INCONCLUSIVE, 0, reason=self.hidden)
        return await self._empty()

    async def _empty(self) -> Judgement:
        proof = self.proof
        demanding, others = await self._demanding()
        if demanding is None and not others:
            return Judgement.not_applicable(f"empty: no {proof.unit} in {self.source.label}")
        if demanding is None:
            return self._judgement(Verdict.INCONCLUSIVE, 0, reason=f"there are no {proof.unit}; {proof.doubt}")
        first_seen_at = await self.clock()
        await self.context.settle(self.clock)
        if await self._seen():
            return self._judgement(Verdict.HOLDS, 1)
        demanding, others = await self._demanding()
        if demanding is None:
            reason = f"there were no {proof.unit}, and the {proof.others} ended while this was confirmed"
            return self._judgement(Verdict.INCONCLUSIVE, 0, reason=reason)
        finding = self._finding(demanding, first_seen_at, await self.clock())
        return self._judgement(Verdict.VIOLATED, 0, findings=(finding,))

    async def _seen(self) -> int:
        """How many records the first chunk has that is not empty. Sets `hidden` where an empty reading proves nothing."""
        async for chunk in self.source.chunks():
            if chunk:
                return len(chunk)
        self.hidden = await _hidden(self.source)
        return 0

    async def _demanding(self) -> tuple[Row | None, bool]:
        """A record that demands one in `subject`, and whether there is any other."""
        if self.beside is None:
            before = self.context.memory.watermark(self.context.check_id, self.slot) or {}
            had = bool(before.get("had"))
            return ({} if had else None), False
        others = False
        async for chunk in self.beside.chunks():
            for row in chunk:
                if self.proof.counts is None or self.proof.counts(row):
                    return row, True
                others = True
        return None, others and bool(self.proof.doubt)

    def _judgement(
        self, verdict: Verdict, seen: int, *, reason: str = "", findings: tuple[Finding, ...] = ()
    ) -> Judgement:
        text = "" if self.beside is None else f"compared with {self.proof.others} of {self.beside.label}"
        queries = (*self.source.queries, *(self.beside.queries if self.beside else ()))
        coverage = Coverage(seen, None, self.proof.unit, text, self.proof.unseen)
        common: dict[str, Any] = {"coverage": (coverage,), "queries": queries}
        return Judgement(verdict=verdict, reason=reason, findings=findings, findings_total=len(findings), **common)

    def _finding(self, row: Row, first_seen_at: datetime, confirmed_at: datetime) -> Finding:
        name = self.proof.subject.relation
        return self.context.finding(
            self.proof.judge(row),
            key=name,
            raw_key=self.context.raw_key(name),
            first_seen_at=first_seen_at,
            confirmed_at=confirmed_at,
            evidence={"read from": self.source.label}
            | ({"compared with": self.beside.label} if self.beside is not None else {}),
        )


async def _hidden(source: Source) -> str:
    """Why an empty reading of a source does not show that there is nothing; "" where it does."""
    found = await account_of(source)
    if found.hidden:
        return f"{source.label}: nothing was read, but records may be hidden: {'; '.join(found.hidden)}"
    if found.counted:
        return f"{source.label}: nothing was read, but the store counts {found.counted} records"
    return ""


def within(seconds: float | None, column: str) -> Callable[[Row], bool] | None:
    """A selection of the records whose `column` is a time within the last `seconds`; None for no selection."""
    if seconds is None:
        return None

    def recent(row: Row) -> bool:
        at = row.get(column)
        return isinstance(at, datetime) and (datetime.now(UTC) - at).total_seconds() <= seconds

    return recent
