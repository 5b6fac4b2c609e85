"""The surroundings of a proof: the profile, the stores, the scope, and the memory of earlier runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from verifier.model.finding import Finding
from verifier.model.invariant import Phase, Problem, Severity
from verifier.profile.models import Profile
from verifier.proofs.checkpoints import Checkpoints
from verifier.proofs.scope import Scope
from verifier.stores.pool import Stores

NO_BASELINE = "no baseline yet: this run takes it; take one beforehand with `verifier baseline`"


class Memory(Protocol):
    """What earlier runs left behind. The history implements it."""

    def fingerprint(self, check_id: str, raw_key: str) -> str:
        """A keyed hash that identifies a breach from run to run."""

    def watermark(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """What a check remembered under `slot`, or None if it remembered nothing yet."""

    def positions(self, slot: str) -> list[tuple[Any, str]]:
        """Earlier (time, position) pairs of an object, oldest first."""


@dataclass(slots=True)
class Context:
    """The surroundings of one check in one run.

    `check_id` and `severity` are those of the check; findings carry them. `proof_index` is the number of the proof that is
    being carried out, starting at 0.

    `watermarks` and `positions` collect what the next run needs. They are committed together with the verdict or not at
    all. `checkpoints` record the progress of a run that can be resumed. With `only_key`, the proof judges a single record
    (`verifier recheck`). With `baselining`, it takes a baseline and judges nothing.
    """

    check_id: str
    severity: Severity
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
        """How long a fact may be in transit between two stores, in seconds."""
        return self.profile.timing.settle_s

    @property
    def judges_another_proof(self) -> bool:
        """Whether `only_key` belongs to another proof of this check."""
        return self.only_key is not None and json.loads(self.only_key)[0] != self.proof_index

    async def settle(self, clock: Callable[[], Awaitable[datetime]], window_s: float | None = None) -> None:
        """Wait until `window_s` seconds (default: `settle_s`) have passed by the store's own clock."""
        wanted_s = self.settle_s if window_s is None else window_s
        started, remaining_s = await clock(), wanted_s
        while remaining_s > 0:
            await asyncio.sleep(remaining_s)
            remaining_s = wanted_s - (await clock() - started).total_seconds()

    def raw_key(self, *parts: str | None) -> str:
        """The full key of a record within this check. `recheck` takes it, and fingerprints are computed from it."""
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
        """Turn a confirmed problem into a finding of this check and report it to the listeners of the run."""
        finding = Finding.of(
            problem,
            check_id=self.check_id,
            severity=self.severity,
            key=key,
            raw_key=raw_key,
            fingerprint=self.memory.fingerprint(self.check_id, raw_key),
            first_seen_at=first_seen_at,
            confirmed_at=confirmed_at,
            evidence=evidence,
        )
        self.found(finding)
        return finding
