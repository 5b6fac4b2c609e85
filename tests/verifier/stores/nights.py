"""An absence proof with memory over one observer: a baseline, then one nightly run after the other, as in the
engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from verifier.model.invariant import Phase, Severity
from verifier.model.query import Rows
from verifier.model.verdict import Judgement, Verdict
from verifier.proofs.absence.proof import Absence
from verifier.proofs.context import Context
from verifier.proofs.scope import ScopeEntry
from verifier.stores.protocols import Observer, mark_of

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class _Scope:
    """A scope in which everything is OpenIM's except what belongs to a neighbour."""

    phase_since = SINCE
    everything_else_is_neighbour = False

    def __init__(self, neighbours: frozenset[str]) -> None:
        self._neighbours = neighbours

    async def entries(self, _kind: str, ids: Sequence[str]) -> dict[str, ScopeEntry]:
        """As `Scope.entries`."""
        return {name: ScopeEntry(SINCE) for name in ids if name not in self._neighbours}

    takes_the_rest = True
    """As `Scope.takes_the_rest`."""

    async def inside(self, _kind: str, at: datetime) -> Callable[[bytes], bool]:
        """As `Scope.inside`."""
        outside = {mark_of(name) for name in self._neighbours}
        return lambda mark: at >= SINCE and mark not in outside


@dataclass
class Nights:
    """`neighbours`: ids that are not OpenIM's; with any of them the object is shared. `observe_s`: seconds that taps
    listen."""

    proof: Absence
    observer: Observer
    target: Any
    store: Any
    neighbours: frozenset[str] = frozenset()
    observe_s: float = 0.0
    marks: dict[str, Any] = field(default_factory=dict)
    past: list[tuple[Any, str]] = field(default_factory=list)

    async def baseline(self) -> None:
        """Take the baseline; nothing is judged."""
        judgement = await self._run(baselining=True)
        assert judgement.verdict is Verdict.NOT_APPLICABLE

    async def night(self) -> Judgement:
        """Run once, and keep what the run remembers."""
        return await self._run(baselining=False)

    async def _run(self, *, baselining: bool) -> Judgement:
        context = self._context(baselining)
        judgement = await self.proof.execute(context)
        self.marks |= context.watermarks
        self.past += [(at, position) for _, at, position in context.positions]
        return judgement

    def _context(self, baselining: bool) -> Context:
        target = self.target.model_copy(update={"neighbours": "support chat" if self.neighbours else None})
        profile: Any = SimpleNamespace(
            timing=SimpleNamespace(settle_s=0.1, observe_s=self.observe_s, clock_skew_max_s=2.0),
            scope=SimpleNamespace(kind="all"),
            relation=lambda _name: target,
            channel=lambda _name: target,
            queue=lambda _name: target,
            homes=lambda name: (name,),
            since_phase=lambda _phase: SINCE,
        )
        memory: Any = SimpleNamespace(
            watermark=lambda _check, slot: self.marks.get(slot),
            positions=lambda _slot: self.past,
            fingerprint=lambda _check, raw_key: raw_key,
        )
        return Context(
            check_id="ABSENCE",
            severity=Severity.CRITICAL,
            profile=profile,
            phase=Phase.FROZEN,
            stores=_Stores(self),  # type: ignore[arg-type]
            scope=_Scope(self.neighbours),  # type: ignore[arg-type]
            memory=memory,
            progress=lambda _done, _total, _text: None,
            baselining=baselining,
        )


class _Stores:
    def __init__(self, nights: Nights) -> None:
        self._nights = nights

    async def observer(self, *_target: Any) -> Observer:
        return self._nights.observer

    async def source(self, rows: Rows) -> Any:
        return self._nights.store.source(self._nights.target, rows)

    async def apart(self, *_clocks: Any) -> None:
        return None


def known_by(judgement: Judgement) -> list[str]:
    """How each finding of a judgement is known."""
    return [str(finding.evidence["known by"]) for finding in judgement.findings]
