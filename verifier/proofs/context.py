"""What a proof is carried out with: the profile, the stores, the scope, the memory of earlier runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from verifier.checks.registry import Check
from verifier.model.finding import Finding
from verifier.model.invariant import Phase, Problem
from verifier.profile.models import Profile
from verifier.proofs.checkpoints import Checkpoints
from verifier.proofs.scope import Scope
from verifier.stores.pool import Stores


class Memory(Protocol):
    """What a run remembers from earlier ones; the history implements it."""

    def fingerprint(self, check_id: str, raw_key: str) -> str:
        """The stable name of a breach."""

    def watermark(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """What was remembered of an object, or None at the first look."""

    def positions(self, slot: str) -> list[tuple[Any, str]]:
        """Earlier (time, horizon) pairs of an object, oldest first."""


@dataclass(slots=True)
class Context:
    """One check's surroundings in one run.

    `watermarks` and `horizons` collect what is to be remembered; they are committed together with the verdict, or not at
    all. `checkpoints`, where a run can be resumed, keep how far a walk has come. `only_key` narrows the proof to one record (`recheck`). `arming` means: take the baseline, judge nothing.
    """

    check: Check
    profile: Profile
    phase: Phase
    stores: Stores
    scope: Scope
    memory: Memory
    progress: Callable[[int, int | None, str], None]
    found: Callable[[Finding], None] = lambda finding: None
    proof_index: int = 0
    only_key: str | None = None
    baselining: bool = False
    checkpoints: Checkpoints | None = None
    watermarks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    positions: list[tuple[str, Any, str]] = field(default_factory=list)

    @property
    def settle_s(self) -> float:
        """How long a fact may be in flight."""
        return self.profile.timing.settle_s

    async def settle(self, clock: Callable[[], Awaitable[datetime]], window_s: float | None = None) -> None:
        """Wait until so much time has passed by the store's own clock; by default what a fact may be in flight."""
        wanted_s = self.settle_s if window_s is None else window_s
        started, remaining_s = await clock(), wanted_s
        while remaining_s > 0:
            await asyncio.sleep(remaining_s)
            remaining_s = wanted_s - (await clock() - started).total_seconds()

    def raw_key(self, *parts: str) -> str:
        """The full name of a record within this check: what `recheck` is given, and what fingerprints are made of."""
        return json.dumps([self.proof_index, *parts], ensure_ascii=False)

    def finding(
        self,
        problem: Problem,
        *,
        key: str,
        raw_key: str,
        first_seen_at: datetime,
        confirmed_at: datetime,
        evidence: Mapping[str, str] | None = None,
    ) -> Finding:
        """A confirmed problem as a finding of this check; whoever listens to the run is told."""
        finding = Finding.of(
            problem,
            check_id=self.check.id,
            severity=self.check.severity,
            key=key,
            raw_key=raw_key,
            fingerprint=self.memory.fingerprint(self.check.id, raw_key),
            first_seen_at=first_seen_at,
            confirmed_at=confirmed_at,
            evidence=evidence,
        )
        self.found(finding)
        return finding
