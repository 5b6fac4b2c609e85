"""The phase gate: whether the stack may advance to its next phase, judged from the history. No store is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from verifier.model.invariant import Phase
from verifier.model.text import at_text, plural
from verifier.model.verdict import ExitCode, Outcome, RunResult, Verdict
from verifier.profile.models import Profile

CONTINUITY = "continuity broken"


class Readiness(StrEnum):
    """Whether a condition is met."""

    MET = "met"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition for the next phase. `next_step` says what to do if it is not met."""

    name: str
    state: Readiness
    detail: str
    next_step: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRun:
    """A run of the history. `baseline`: it took baselines and judged nothing. `finished`: False for an interrupted run."""

    result: RunResult
    baseline: bool = False
    finished: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryAge:
    """The age of the canary's newest journal in seconds, or the reason why it is unknown."""

    age_s: float | None
    reason: str = ""


def exit_code(conditions: Iterable[Condition]) -> ExitCode:
    """0: may advance. 1: a condition is not met. 2: none is unmet, but one is unknown."""
    states = {item.state for item in conditions}
    if Readiness.MISSING in states:
        return ExitCode.VIOLATED
    return ExitCode.INCONCLUSIVE if Readiness.UNKNOWN in states else ExitCode.HOLDS


def judge_gate(
    profile: Profile,
    runs: Iterable[PastRun],
    *,
    known: Sequence[str],
    accepted: frozenset[str],
    canary: CanaryAge | None,
    now: datetime,
) -> list[Condition]:
    """Judge every condition.

    `runs`: past runs, newest first; only as many are read as needed. `known`: IDs of all registered checks. `accepted`: IDs
    of checks whose inconclusive verdict the profile accepts. `canary`: None if no canary is configured.
    """
    row, ended_by, newest = _green_streak(profile.phase, runs, len(known), accepted)
    return [
        _newest(profile, newest, known, accepted, now),
        _greens(profile, row, ended_by),
        _hours(profile, row),
        _observed(profile, row),
        _pending(newest),
        _waivers(profile, newest, now.date()),
        _canary(profile, canary),
    ]


def _green_streak(
    phase: Phase, runs: Iterable[PastRun], complete: int, accepted: frozenset[str]
) -> tuple[list[RunResult], str, RunResult | None]:
    """The latest consecutive green runs, newest first; why there are no more; and the newest complete run."""
    row: list[RunResult] = []
    newest: RunResult | None = None
    for run in runs:
        result = run.result
        when = at_text(result.started_at)
        if result.phase != phase.value:
            return row, f"before that, the stack was in phase {result.phase}", newest
        if run.baseline:
            return row, f"a baseline was taken {when}; coverage starts there", newest
        whole = run.finished and len(result.outcomes) >= complete
        newest = newest or (result if whole else None)
        why = why_not_green(result, accepted)
        if why:
            return row, f"run {result.run_id} of {when} is not green: {why}", newest
        if whole:  # a run of `--only`, or an interrupted one, does not cover all checks
            row.append(result)
    return row, "the history has no earlier run", newest


def why_not_green(result: RunResult, accepted: frozenset[str]) -> str:
    """Why a run is not green, or "" if it is. Pending checks do not count, and neither do accepted inconclusive ones."""
    violated = [item.check_id for item in result.counted if item.verdict is Verdict.VIOLATED]
    if violated:
        return f"{', '.join(violated)} violated"
    broken = [item.check_id for item in result.counted if _lost_continuity(item)]
    if broken:
        return f"{', '.join(broken)} lost continuity"
    unknown = [
        item.check_id
        for item in result.counted
        if item.verdict is Verdict.INCONCLUSIVE and item.check_id not in accepted
    ]
    return f"{', '.join(unknown)} inconclusive" if unknown else ""


def _lost_continuity(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.INCONCLUSIVE and CONTINUITY in outcome.judgement.reason


def _newest(
    profile: Profile, newest: RunResult | None, known: Sequence[str], accepted: frozenset[str], now: datetime
) -> Condition:
    name = "the newest complete run is fresh and green"
    if newest is None:
        return Condition(
            name=name,
            state=Readiness.UNKNOWN,
            detail=f"there is no complete run in phase {profile.phase.value}",
            next_step="verifier run",
        )
    unjudged = sorted(set(known) - {item.check_id for item in newest.outcomes})
    if unjudged:
        return Condition(
            name=name,
            state=Readiness.UNKNOWN,
            detail=f"it did not judge {', '.join(unjudged)}",
            next_step="verifier run",
        )
    age = now - newest.ended_at
    if age > timedelta(hours=profile.gate.max_age_hours):
        hours = age.total_seconds() / 3600
        detail = f"it ended {hours:.1f} h ago, gate.max_age_hours is {profile.gate.max_age_hours:g}"
        return Condition(name=name, state=Readiness.UNKNOWN, detail=detail, next_step="verifier run")
    why = why_not_green(newest, accepted)
    if not why:
        return Condition(name=name, state=Readiness.MET, detail=f"run {newest.run_id} ended {at_text(newest.ended_at)}")
    violated = any(item.verdict is Verdict.VIOLATED for item in newest.counted)
    state = Readiness.MISSING if violated else Readiness.UNKNOWN
    return Condition(
        name=name, state=state, detail=why, next_step="resolve the findings in the report, then: verifier run"
    )


def _greens(profile: Profile, row: Sequence[RunResult], ended_by: str) -> Condition:
    wanted = profile.gate.greens
    name = f"{wanted} complete and conclusive {plural('green', wanted)} in a row"
    if len(row) >= wanted:
        return Condition(name=name, state=Readiness.MET, detail=f"{len(row)} in a row")
    left = wanted - len(row)
    return Condition(
        name=name,
        state=Readiness.MISSING,
        detail=f"{len(row)} so far; {ended_by}",
        next_step=f"{left} more: verifier run",
    )


def _hours(profile: Profile, row: Sequence[RunResult]) -> Condition:
    wanted = profile.gate.hours
    name = f"{wanted:g} h of unbroken coverage"
    covered = (row[0].ended_at - row[-1].started_at).total_seconds() / 3600 if row else 0.0
    if covered >= wanted:
        return Condition(name=name, state=Readiness.MET, detail=f"{covered:.1f} h, since {at_text(row[-1].started_at)}")
    return Condition(
        name=name,
        state=Readiness.MISSING,
        detail=f"{covered:.1f} h so far",
        next_step=f"run again in {wanted - covered:.1f} h or later",
    )


def _observed(profile: Profile, row: Sequence[RunResult]) -> Condition:
    """Channels that can only be observed while listening need enough hours of listening in total."""
    wanted = profile.gate.observe_hours
    name = f"{wanted:g} h of listening, for channels without a counter"
    if not row:
        return Condition(name=name, state=Readiness.MISSING, detail="no green run yet", next_step="verifier run")
    seconds: dict[str, float] = {}
    for result in row:
        for item in result.outcomes:
            if listened_s := sum(part.observed_s for part in item.judgement.coverage):
                seconds[item.check_id] = seconds.get(item.check_id, 0.0) + listened_s
    short = {check: listened_s for check, listened_s in sorted(seconds.items()) if listened_s < wanted * 3600}
    if not short:
        text = ", ".join(f"{check} {listened_s / 3600:.1f} h" for check, listened_s in sorted(seconds.items()))
        return Condition(name=name, state=Readiness.MET, detail=text or "no check depends on it")
    text = ", ".join(f"{check} {listened_s / 3600:.2f} h" for check, listened_s in short.items())
    return Condition(
        name=name,
        state=Readiness.MISSING,
        detail=text,
        next_step="raise timing.observe_s, or run more often (verifier serve); a channel whose counter nobody else changes needs no listening",
    )


def _pending(newest: RunResult | None) -> Condition:
    name = "no check is pending"
    waiting = [item.check_id for item in newest.outcomes if item.pending] if newest else []
    if not waiting:
        return Condition(name=name, state=Readiness.MET, detail="every check counts in the exit code")
    return Condition(
        name=name,
        state=Readiness.MISSING,
        detail=f"{', '.join(waiting)} came with an upgrade",
        next_step=f"review their verdicts, then: verifier accept {' '.join(waiting)}",
    )


def _waivers(profile: Profile, newest: RunResult | None, today: date) -> Condition:
    days = profile.gate.waiver_days
    name = f"no waiver in use expires within {days:g} days"
    used = {item.check_id for item in newest.outcomes if item.verdict is Verdict.WAIVED} if newest else set()
    until = today + timedelta(days=days)
    short = [item for item in profile.waivers if item.check in used and item.expires <= until]
    if short:
        text = ", ".join(f"{item.check} ({item.owner}, {item.expires.isoformat()})" for item in short)
        return Condition(
            name=name,
            state=Readiness.MISSING,
            detail=text,
            next_step="fix the cause, or ask the owner to extend the waiver",
        )
    text = f"waived for longer: {', '.join(sorted(used))}" if used else "nothing is waived"
    return Condition(name=name, state=Readiness.MET, detail=text)


def _canary(profile: Profile, canary: CanaryAge | None) -> Condition:
    name = "the canary's journal is fresh"
    command = "python -m suites.canary --profile stack.toml"
    if profile.canary is None or canary is None:
        detail = "the canary is off: no message was sent and received"
        return Condition(
            name=name,
            state=Readiness.MISSING,
            detail=detail,
            next_step=f"configure [canary] in the profile, then: {command}",
        )
    if canary.age_s is None:
        return Condition(name=name, state=Readiness.UNKNOWN, detail=canary.reason, next_step=command)
    text = f"{canary.age_s / 3600:.1f} h old, canary.max_age_s is {profile.canary.max_age_s / 3600:.1f} h"
    state = Readiness.MET if canary.age_s <= profile.canary.max_age_s else Readiness.UNKNOWN
    return Condition(name=name, state=state, detail=text, next_step="" if state is Readiness.MET else command)
