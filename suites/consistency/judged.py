"""One run of the verifier for a whole test session, and what its verdicts mean for a test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fixtures.blueprints import worlds
from fixtures.clients.world import WorldConfig
from fixtures.stack.profile import profile_text, write_profile
from verifier.checks.catalogue import load_checks
from verifier.checks.registry import Check
from verifier.engine.plan import make_plan
from verifier.engine.session import execute, open_history
from verifier.engine.waivers import accepted_ids
from verifier.history import RunKind
from verifier.model.redact import clean_outcome
from verifier.model.verdict import ExitCode, Outcome, RunResult, Verdict
from verifier.profile import Profile, load_profile

USERS = 20
SHOWN_MAX = 10


@dataclass(frozen=True, kw_only=True)
class JudgedRun:
    """A finished run, and the checks whose inconclusive verdict the profile accepts, with the reason."""

    result: RunResult
    accepted: dict[str, str]

    def outcome(self, check_id: str) -> Outcome | None:
        """A check's outcome. None if the run was interrupted before it."""
        return next((clean_outcome(item) for item in self.result.outcomes if item.check_id == check_id), None)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of `verifier run`."""
        return self.result.exit_code(accepted=frozenset(self.accepted))


def judge(profile: Profile, *, baseline: bool = False) -> JudgedRun:
    """Run every check on a stack, as `verifier run` does. With `baseline`, take one first."""
    plan = make_plan(load_checks(), profile)
    with open_history(profile) as history:
        if baseline:
            execute(profile, plan, history, kind=RunKind.BASELINE, handle=lambda event: None)
        result = execute(profile, plan, history, kind=RunKind.RUN, handle=lambda event: None)
    today = datetime.now(UTC).date()
    accepted = {
        item.check: item.reason for item in profile.accept_inconclusive if item.check in accepted_ids(profile, today)
    }
    return JudgedRun(result=result, accepted=accepted)


def migrate_half(config: WorldConfig) -> Path:
    """Bring an empty world into the middle of its move. Returns its profile."""
    began = datetime.now(UTC)
    asyncio.run(worlds.mid_migration(config, users=USERS))
    return write_profile(config, profile_text(config, phase="cutover", since={"registered": began, "cutover": began}))


def judge_world(config: WorldConfig) -> JudgedRun:
    """Bring a world into the middle of its move, take a baseline and judge it."""
    return judge(load_profile(migrate_half(config)), baseline=True)


def failure_text(item: Check, outcome: Outcome) -> str:
    """The first `SHOWN_MAX` findings, in full sentences."""
    judgement = outcome.judgement
    total = max(judgement.findings_total, len(judgement.findings))
    lines = [f"{item.id} is violated: {item.title} (row {item.row!r} of docs/data-ownership.md; {total} found)"]
    for finding in judgement.findings[:SHOWN_MAX]:
        lines += [
            f"  {finding.summary}",
            f"    key {finding.key}; expected {finding.expected}; actual {finding.actual}",
            *(f"    {name}: {value}" for name, value in finding.evidence.items()),
            f"    check again: {finding.recheck_command}",
            *([f"    next step: {finding.next_step}"] if finding.next_step else []),
        ]
    if total > SHOWN_MAX:
        lines.append(f"  and {total - SHOWN_MAX} more")
    lines += [f"  note: {note}" for note in judgement.notes]
    return "\n".join(lines)


def why_not_judged(outcome: Outcome | None) -> str | None:
    """Why a check gave no answer, or None if it did."""
    if outcome is None:
        return "not judged: the run was interrupted before it"
    if outcome.verdict is Verdict.INCONCLUSIVE and not outcome.pending:
        return f"{outcome.check_id} could not be judged: {outcome.judgement.reason}"
    return None
