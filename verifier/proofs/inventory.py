"""`inventory`: is every object of a store declared?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.models import Profile
from verifier.proofs.context import NO_BASELINE, Context
from verifier.proofs.protocol import Description
from verifier.stores.pool import Stores
from verifier.stores.protocols import StoreObject

Approved = frozenset[str]
DOUBTS_SHOWN = 5
Judge = Callable[[Sequence[StoreObject], Approved | None], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class _Listed:
    objects: Sequence[StoreObject]
    unreadable: set[str]
    unseen: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """List the objects of a `role` and let `judge` decide which of them should not exist.

    `kinds` are the kinds of object to list; each store names those that it knows. `applies` selects among them. `judge`
    receives the objects and the approved texts, and returns problems, each with a `key`.

    With `remembered`, the approved texts are those of the baseline, and None before there is one; `fingerprint` returns the
    text of an object. Without it they are always None. If nothing is wrong but the credential cannot read some objects, the
    check is inconclusive; so it is where `doubts` returns what the objects do not show, each with what to do about it.
    `unit`, `statement` and `unseen` are as in `RecordProof`.

    `lacking` says in words what is missing among the objects that must be there, such as a mapped table; "" if nothing is. A
    check over nothing is then inconclusive instead of green.
    """

    role: str
    kinds: tuple[str, ...]
    judge: Judge
    lacking: Callable[[Sequence[StoreObject]], str] = lambda objects: ""
    remembered: bool = False
    fingerprint: Callable[[StoreObject], str] = lambda item: item.name
    applies: Callable[[StoreObject], bool] = lambda item: True
    doubts: Callable[[Sequence[StoreObject]], Iterable[str]] = lambda objects: ()
    unit: str = "objects"
    statement: str = ""
    unseen: tuple[str, ...] = ()
    technique: ClassVar[str] = "inventory: every object must be declared; a problem is confirmed in a second pass"

    @property
    def takes_baseline(self) -> bool:
        """Whether a baseline is taken for this proof: with `remembered`."""
        return self.remembered

    async def execute(self, context: Context) -> Judgement:
        """List and judge; if there are problems, do so again after the settle window and keep those of both passes."""
        slot = f"{context.proof_index}:{self.role}:{'+'.join(self.kinds)}"
        raw = context.memory.watermark(context.check_id, slot) if self.remembered else None
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
            len(listed.objects), len(listed.objects), self.unit, self.statement, (*self.unseen, *listed.unseen)
        )
        common: dict[str, Any] = {
            "coverage": (coverage,),
            "queries": tuple(f"list {kind} of {self.role}" for kind in self.kinds),
        }
        if problems:
            findings = tuple(self._finding(item, context, first_seen_at) for item in problems.values())
            return Judgement(verdict=Verdict.VIOLATED, findings=findings, findings_total=len(findings), **common)
        if listed.unreadable:
            reason = f"this credential cannot read: {', '.join(sorted(listed.unreadable))}"
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        if doubts := sorted(set(self.doubts(listed.objects))):
            shown = "; ".join(doubts[:DOUBTS_SHOWN]) + (
                f"; and {len(doubts) - DOUBTS_SHOWN} more" if len(doubts) > DOUBTS_SHOWN else ""
            )
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=shown, **common)
        if lacking := self.lacking(listed.objects):
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=lacking, **common)
        if self.remembered and approved is None:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=NO_BASELINE, **common)
        return Judgement(verdict=Verdict.HOLDS, **common)

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The kinds that are listed."""
        return Description(
            queries=(f"lists {', '.join(self.kinds)} of {self.role}",),
            role=self.role,
            unseen=self.unseen,
        )

    async def _list(self, context: Context) -> _Listed:
        store = await context.stores.get(self.role)
        listed = [item for kind in self.kinds for item in await store.listing(kind) if self.applies(item)]
        unreadable = {item.name for item in listed if item.kind == "unreadable"}
        unseen = tuple(item.name for item in listed if item.kind == "limitation")
        return _Listed([item for item in listed if item.kind not in ("unreadable", "limitation")], unreadable, unseen)

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
