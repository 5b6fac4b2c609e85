"""`inventory`: is every object declared, and no undeclared one there?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from verifier.model.finding import Finding
from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.proofs.context import Context
from verifier.stores.protocols import StoreObject

Approved = frozenset[str]
Judge = Callable[[Sequence[StoreObject], Approved | None], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class _Listed:
    objects: Sequence[StoreObject]
    unreadable: set[str]
    limitations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """List a role's objects of some `kinds` and let `judge` say what should not be so; each problem has a `key`.

    With `remembered`, the names found at the baseline are given to the judge, None before there is one; `fingerprint` says which
    text of an object is remembered. Objects that the credential cannot see make the check inconclusive where nothing is wrong.
    """

    role: str
    kinds: tuple[str, ...]
    judge: Judge
    remembered: bool = False
    fingerprint: Callable[[StoreObject], str] = lambda item: item.name
    applies: Callable[[StoreObject], bool] = lambda item: True
    unit: str = "objects"
    statement: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def takes_baseline(self) -> bool:
        """Whether a baseline is taken for this proof."""
        return self.remembered

    async def execute(self, context: Context) -> Judgement:
        """List, judge, list again after the settle window, and keep what both looks saw."""
        slot = f"{context.proof_index}:{self.role}:{'+'.join(self.kinds)}"
        raw = context.memory.watermark(context.check.id, slot) if self.remembered else None
        approved = frozenset(raw["names"]) if raw else None
        listed = await self._list(context)
        if self.remembered and (context.baselining or approved is None):
            names = sorted({self.fingerprint(item) for item in listed.objects})
            context.watermarks[slot] = {"names": names, "at": datetime.now(UTC).isoformat()}
            if context.baselining:
                return Judgement.not_applicable("baseline taken")
        problems = {self._key(item): item for item in self.judge(listed.objects, approved)}
        first_seen_at = datetime.now(UTC)
        if problems:
            await asyncio.sleep(context.settle_s)
            listed = await self._list(context)
            again = {self._key(item): item for item in self.judge(listed.objects, approved)}
            problems = {key: again[key] for key in problems if key in again}
        coverage = Coverage(
            len(listed.objects), len(listed.objects), self.unit, self.statement, (*self.unseen, *listed.limitations)
        )
        common: dict[str, Any] = {
            "coverage": (coverage,),
            "queries": tuple(f"list {kind} of {self.role}" for kind in self.kinds),
        }
        if problems:
            findings = tuple(self._finding(item, context, first_seen_at) for item in problems.values())
            return Judgement(verdict=Verdict.VIOLATED, findings=findings, findings_total=len(findings), **common)
        if listed.unreadable:
            reason = f"cannot be told with this credential: {', '.join(sorted(listed.unreadable))}"
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        if self.remembered and approved is None:
            reason = "no baseline yet: it is taken now; take one ahead with `verifier baseline`"
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        return Judgement(verdict=Verdict.HOLDS, **common)

    async def _list(self, context: Context) -> _Listed:
        store = await context.stores.get(self.role)
        listed = [item for kind in self.kinds for item in await store.listing(kind) if self.applies(item)]
        unreadable = {item.name for item in listed if item.kind == "unreadable"}
        limitations = tuple(item.name for item in listed if item.kind == "limitation")
        return _Listed(
            [item for item in listed if item.kind not in ("unreadable", "limitation")], unreadable, limitations
        )

    @staticmethod
    def _key(problem: Problem) -> str:
        return problem.key or problem.summary

    def _finding(self, problem: Problem, context: Context, first_seen_at: datetime) -> Finding:
        key = self._key(problem)
        return context.finding(
            problem,
            key=key,
            raw_key=context.raw_key(self.role, key),
            first_seen_at=first_seen_at,
            confirmed_at=datetime.now(UTC),
            evidence={"listed from": self.role},
        )
