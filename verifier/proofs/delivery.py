"""`delivery`: did what was sent arrive once, in order and durably? The newest canary journal is judged, not a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from verifier.judges.journal import JournalError
from verifier.judges.journal_reader import JournalReader, find_journal
from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import Operation
from verifier.model.finding import Finding
from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.canary import Canary
from verifier.profile.models import Profile
from verifier.proofs.context import Context
from verifier.proofs.open_findings import OpenFindings
from verifier.proofs.protocol import Description
from verifier.stores.pool import Stores

JudgeJournal = Callable[[Iterable[Operation]], JournalJudgement | None]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Let `judge` read the newest journal of the canary.

    `judge` returns None if the journal contains no operation of its kind. `statement` and `unseen` are as in `RecordProof`.
    """

    judge: JudgeJournal
    statement: str = ""
    unseen: tuple[str, ...] = ()
    technique: ClassVar[str] = "delivery: judged from the canary's journal"
    takes_baseline: ClassVar[bool] = True

    async def execute(self, context: Context) -> Judgement:
        """Find the journal, check its age, and judge it.

        The next journal replaces this one. What this one shows stays a finding until one that can be judged replaces it.
        """
        if context.profile.canary is None:
            return Judgement.not_applicable("canary off: the profile has no [canary]")
        known = OpenFindings(context, "journal")
        if context.baselining:
            if known:
                known.accept()
            return Judgement.not_applicable("baseline taken")
        judgement = self._judge_newest(context.profile.canary, context)
        if judgement.verdict in (Verdict.HOLDS, Verdict.VIOLATED):
            if known:
                known.accept()
            for item in judgement.findings:
                known.see_finding(item)
            return judgement
        remembered = known.findings("an earlier journal")
        if not remembered and not known.unlisted:
            return judgement
        return replace(
            judgement,
            verdict=Verdict.VIOLATED,
            reason="",
            notes=tuple(filter(None, (*judgement.notes, judgement.reason, known.note()))),
            findings=remembered,
            findings_total=len(remembered) + known.unlisted,
            partial=True,
        )

    def _judge_newest(self, canary: Canary, context: Context) -> Judgement:
        path = find_journal(Path(canary.journal))
        run_it = "Run: python -m suites.canary --profile stack.toml"
        if path is None:
            return Judgement.inconclusive(f"there is no canary journal at {canary.journal}. {run_it}")
        try:
            reader = JournalReader(path)
            judged = self.judge(reader)
            age_s = (datetime.now(UTC) - reader.last_at).total_seconds()
        except JournalError as error:
            return Judgement.inconclusive(f"{error} {run_it}")
        if age_s > canary.max_age_s:
            return Judgement.inconclusive(
                f"the canary journal is {age_s / 3600:.1f} h old, which is more than canary.max_age_s allows. {run_it}"
            )
        if judged is None:
            return Judgement.not_applicable("the canary journal contains no operation of this kind")
        text = "; ".join(part for part in (self.statement, f"canary journal {age_s / 60:.0f} min old") if part)
        findings = tuple(self._finding(item, context, path) for item in judged.problems)
        return Judgement(
            verdict=judged.verdict,
            reason=judged.reason,
            coverage=(judged.coverage, Coverage(text=text, unseen=self.unseen)),
            notes=(*judged.notes, *reader.notes),
            findings=findings,
            findings_total=judged.problems_total or len(findings),
            queries=(f"read {path}",),
        )

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """What the journal is judged for."""
        return Description(
            queries=(self.statement,) if self.statement else (),
            unseen=self.unseen,
        )

    def _finding(self, problem: Problem, context: Context, path: Path) -> Finding:
        key = problem.key or problem.summary
        now = datetime.now(UTC)
        return context.finding(
            problem,
            key=key,
            raw_key=context.raw_key("journal", key),
            first_seen_at=now,
            confirmed_at=now,
            evidence={"journal": str(path)},
        )
