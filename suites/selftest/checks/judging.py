"""Running the verifier over a world again and again, with one memory: what a night after the other would do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from fixtures.faults import Fault, Site
from fixtures.faults.edits import Edit
from fixtures.faults.planting import edited, findings, plant_all, reported, unexplained
from fixtures.profile import profile_text, write_profile
from fixtures.world import WorldConfig
from verifier.check import load_checks
from verifier.engine import Engine, Judged
from verifier.history import History, RunKind, StoredWatermark
from verifier.history.database import open_database
from verifier.history.upkeep import put_watermark
from verifier.plan import make_plan
from verifier.profile import load_profile
from verifier.profile.template import TimingValues
from verifier.verdict import RunResult, Verdict

SETTLE_S, OBSERVE_S, FLUSH_S = 0.6, 1.5, 11.0
"""PostgreSQL's pooled sessions flush their counts when they were idle for 10 s; those of a fault end with it."""
CANARIES = ("canary-1", "canary-2")


@dataclass(frozen=True, kw_only=True)
class Round:
    """Faults that were planted together, their marks, and what one run said of them.

    `planted` and `judged` tell when, by `time.monotonic()`: each fault by id, each check by id.
    """

    faults: Sequence[Fault]
    marks: dict[str, str]
    result: RunResult
    earlier: dict[str, str] = field(default_factory=dict)
    planted: dict[str, float] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)

    def reported(self, fault: Fault) -> set[str]:
        """The checks that reported a fault."""
        return reported(self.result, self.marks)[fault.id]

    def verdicts(self, verdict: Verdict) -> set[str]:
        """The checks that ended so."""
        return {outcome.check_id for outcome in self.result.outcomes if outcome.verdict is verdict}

    def blinded(self) -> set[str]:
        """The checks that faults of this round were meant to blind."""
        return {check for fault in self.faults for check in fault.blinds}

    def unexplained(self) -> list[str]:
        """Findings that nothing planted explains, as sentences."""
        marks = {**self.earlier, **self.marks}
        return [f"{item.check_id}: {item.summary} ({item.key})" for item in unexplained(self.result, marks)]

    def reasons(self) -> str:
        """Why checks could not know, and what was found, for messages."""
        lines = [
            f"{outcome.check_id} {outcome.verdict}: {outcome.judgement.reason}"
            for outcome in self.result.outcomes
            if outcome.verdict in (Verdict.INCONCLUSIVE, Verdict.VIOLATED)
        ]
        return "\n".join(
            [
                *lines,
                *(f"{item.check_id}: {item.summary}: {item.actual} [{item.key}]" for item in findings(self.result)),
            ]
        )


class Watch:
    """A verifier with a memory, over one world. `since` of each phase is told by `enter`."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.phase = "baseline"
        self.marks: dict[str, str] = {}
        self._judged: dict[str, float] = {}
        self._database = open_database("memory:")
        self._history = History(self._database, config.name)
        now = datetime.now(UTC)
        self._since = {"registered": now - timedelta(days=30), "cutover": now - timedelta(days=1)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._history.close()

    def enter(self, phase: str) -> None:
        """The stack enters a phase now, unless the world says that it began earlier."""
        self.phase = phase
        self._since.setdefault(phase, datetime.now(UTC))

    def profile(self, config: WorldConfig | None = None) -> str:
        """The profile's text, with the canary on; of the world as `config` sees it, where that is another view of it."""
        timing = TimingValues(settle_s=SETTLE_S, observe_s=OBSERVE_S, counter_flush_s=0, openim_cache_s=SETTLE_S)
        return profile_text(
            config or self.config, phase=self.phase, since=self._since, timing=timing, canary_users=CANARIES
        )

    def remembered(self) -> list[StoredWatermark]:
        """The readings as the last run left them."""
        return self._history.watermarks()

    def retell(self, check_id: str, change: Callable[[Any], Any]) -> None:
        """Change what is remembered of a check: what a lost or ancient memory would be."""
        # Read before the writing begins: an in-memory history has one connection.
        mine = [entry for entry in self.remembered() if entry.check_id == check_id]
        with self._database.write() as connection:
            for entry in mine:
                value = change(entry.value)
                put_watermark(connection, self.config.name, check_id, entry.slot, value, entry.taken_at)

    async def baseline(self, *, only: Sequence[str] = ()) -> RunResult:
        """The first look, or a new one after something was settled."""
        return await self.judge(self.profile(), only=only, kind=RunKind.BASELINE)

    async def round(
        self, site: Site, faults: Sequence[Fault], *, only: Sequence[str] = (), edit: Edit | None = None
    ) -> Round:
        """Plant, run once, clean the background up. `edit` changes the profile for this run beside the faults' own."""
        planted: dict[str, float] = {}
        marks = await plant_all(site, faults, planted)
        text = edited(self.profile(site.view), faults)
        text = edit(text) if edit else text
        site.begin()
        result = await self.judge(text, only=only)
        await site.calm()
        earlier, self.marks = self.marks, {**self.marks, **marks}
        return Round(
            faults=faults, marks=marks, result=result, earlier=earlier, planted=planted, judged=dict(self._judged)
        )

    async def judge(self, text: str, *, only: Sequence[str] = (), kind: RunKind = RunKind.RUN) -> RunResult:
        """One run of the engine in this event loop, remembered."""
        self._judged = {}
        profile = load_profile(write_profile(self.config, text))
        engine = Engine(
            profile=profile,
            plan=make_plan(load_checks(), profile, only=only),
            memory=self._history,
            commit=self._commit,
            arming=kind is RunKind.BASELINE,
        )
        with self._history.lock():
            self._history.begin(engine.run_id, engine.plan.phase.value, datetime.now(UTC), kind=kind)
            async for _ in engine.events():
                pass
            if engine.result is None:
                raise RuntimeError("the run ended without a result")
            self._history.finish(engine.result)
        return engine.result

    def _commit(self, judged: Judged) -> None:
        self._judged[judged.outcome.check_id] = time.monotonic()
        self._history.commit_check(judged.outcome, judged.watermarks, judged.horizons)
