"""May the stack go on to its next phase? Judged from what the history remembers; nothing is asked of any store."""

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


class State(StrEnum):
    """What is known of a condition."""

    MET = "met"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One thing that must be so; `next_step` says what to do where it is not."""

    name: str
    state: State
    detail: str
    next_step: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRun:
    """A run of the history, newest first: `baseline` re-arms and judges nothing, `finished` is False for one that was cut short."""

    result: RunResult
    baseline: bool = False
    finished: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryAge:
    """The canary's newest journal: how old, or why that cannot be told."""

    age_s: float | None
    reason: str = ""


def exit_code(conditions: Iterable[Condition]) -> ExitCode:
    """0 may advance, 1 something is missing, 2 nothing is missing but something cannot be told."""
    states = {item.state for item in conditions}
    if State.MISSING in states:
        return ExitCode.VIOLATED
    return ExitCode.INCONCLUSIVE if State.UNKNOWN in states else ExitCode.HOLDS


def judge_gate(
    profile: Profile,
    runs: Iterable[PastRun],
    *,
    known: Sequence[str],
    accepted: frozenset[str],
    canary: CanaryAge | None,
    now: datetime,
) -> list[Condition]:
    """Every condition, met or not. `known` are all checks that there are, `accepted` those whose blindness the profile accepts."""
    row, ended_by, newest = _row(profile.phase, runs, len(known), accepted)
    return [
        _newest(profile, newest, known, accepted, now),
        _greens(profile, row, ended_by),
        _hours(profile, row),
        _observed(profile, row),
        _pending(newest),
        _waivers(profile, newest, now.date()),
        _canary(profile, canary),
    ]


def _row(
    phase: Phase, runs: Iterable[PastRun], complete: int, accepted: frozenset[str]
) -> tuple[list[RunResult], str, RunResult | None]:
    """The greens in a row up to now, newest first; what ended the row; and the newest run that says something of the whole stack."""
    row: list[RunResult] = []
    newest: RunResult | None = None
    for run in runs:
        result = run.result
        when = at_text(result.started_at)
        if result.phase != phase.value:
            return row, f"before that, the stack was in phase {result.phase}", newest
        if run.baseline:
            return row, f"a baseline was taken {when}: all coverage begins there", newest
        whole = run.finished and len(result.outcomes) >= complete
        newest = newest or (result if whole else None)
        why = why_not_green(result, accepted)
        if why:
            return row, f"run {result.run_id} of {when} is not green: {why}", newest
        if whole:  # a green of `--only`, or of one that was cut short, says nothing of the rest
            row.append(result)
    return row, "the history knows of no earlier run", newest


def why_not_green(result: RunResult, accepted: frozenset[str]) -> str:
    """Why a run is not a conclusive green; "" where it is. Pending checks do not count, accepted blindness does not hinder."""
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
            state=State.UNKNOWN,
            detail=f"there is no complete run in phase {profile.phase.value}",
            next_step="verifier run",
        )
    unjudged = sorted(set(known) - {item.check_id for item in newest.outcomes})
    if unjudged:
        return Condition(
            name=name, state=State.UNKNOWN, detail=f"it did not judge {', '.join(unjudged)}", next_step="verifier run"
        )
    age = now - newest.ended_at
    if age > timedelta(hours=profile.gate.max_age_hours):
        hours = age.total_seconds() / 3600
        detail = f"it ended {hours:.1f} h ago, gate.max_age_hours is {profile.gate.max_age_hours:g}"
        return Condition(name=name, state=State.UNKNOWN, detail=detail, next_step="verifier run")
    why = why_not_green(newest, accepted)
    if not why:
        return Condition(name=name, state=State.MET, detail=f"run {newest.run_id} ended {at_text(newest.ended_at)}")
    violated = any(item.verdict is Verdict.VIOLATED for item in newest.counted)
    state = State.MISSING if violated else State.UNKNOWN
    return Condition(name=name, state=state, detail=why, next_step="settle what the report says, then: verifier run")


def _greens(profile: Profile, row: Sequence[RunResult], ended_by: str) -> Condition:
    wanted = profile.gate.greens
    name = f"{wanted} complete and conclusive {plural('green', wanted)} in a row"
    if len(row) >= wanted:
        return Condition(name=name, state=State.MET, detail=f"{len(row)} in a row")
    left = wanted - len(row)
    return Condition(
        name=name,
        state=State.MISSING,
        detail=f"{len(row)} so far; {ended_by}",
        next_step=f"{left} more: verifier run",
    )


def _hours(profile: Profile, row: Sequence[RunResult]) -> Condition:
    wanted = profile.gate.hours
    name = f"{wanted:g} h of unbroken coverage"
    covered = (row[0].ended_at - row[-1].started_at).total_seconds() / 3600 if row else 0.0
    if covered >= wanted:
        return Condition(name=name, state=State.MET, detail=f"{covered:.1f} h, since {at_text(row[-1].started_at)}")
    return Condition(
        name=name,
        state=State.MISSING,
        detail=f"{covered:.1f} h so far",
        next_step=f"run again in {wanted - covered:.1f} h or later",
    )


def _observed(profile: Profile, row: Sequence[RunResult]) -> Condition:
    """Where nothing but a tap can hear, what happened between two runs was not heard."""
    wanted = profile.gate.observe_hours
    name = f"{wanted:g} h of listening, where only listening tells"
    if not row:
        return Condition(name=name, state=State.MISSING, detail="no green run yet", next_step="verifier run")
    seconds: dict[str, float] = {}
    for result in row:
        for item in result.outcomes:
            if heard := sum(part.observed_s for part in item.judgement.coverage):
                seconds[item.check_id] = seconds.get(item.check_id, 0.0) + heard
    short = {check: heard for check, heard in sorted(seconds.items()) if heard < wanted * 3600}
    if not short:
        told = ", ".join(f"{check} {heard / 3600:.1f} h" for check, heard in sorted(seconds.items()))
        return Condition(name=name, state=State.MET, detail=told or "no check depends on it")
    told = ", ".join(f"{check} {heard / 3600:.2f} h" for check, heard in short.items())
    return Condition(
        name=name,
        state=State.MISSING,
        detail=told,
        next_step="raise timing.observe_s, or run more often (verifier serve); counters that nobody else moves need no listening",
    )


def _pending(newest: RunResult | None) -> Condition:
    name = "no check is pending"
    waiting = [item.check_id for item in newest.outcomes if item.pending] if newest else []
    if not waiting:
        return Condition(name=name, state=State.MET, detail="every check that there is counts")
    return Condition(
        name=name,
        state=State.MISSING,
        detail=f"{', '.join(waiting)} came with an upgrade",
        next_step=f"look at their verdicts, then: verifier accept {' '.join(waiting)}",
    )


def _waivers(profile: Profile, newest: RunResult | None, today: date) -> Condition:
    days = profile.gate.waiver_days
    name = f"no waiver that is needed expires within {days:g} days"
    used = {item.check_id for item in newest.outcomes if item.verdict is Verdict.WAIVED} if newest else set()
    until = today + timedelta(days=days)
    short = [item for item in profile.waivers if item.check in used and item.expires <= until]
    if short:
        told = ", ".join(f"{item.check} ({item.owner}, {item.expires.isoformat()})" for item in short)
        return Condition(
            name=name,
            state=State.MISSING,
            detail=told,
            next_step="settle the breach, or let its owner extend the waiver",
        )
    told = f"waived for longer: {', '.join(sorted(used))}" if used else "nothing is waived"
    return Condition(name=name, state=State.MET, detail=told)


def _canary(profile: Profile, canary: CanaryAge | None) -> Condition:
    name = "the canary's journal is fresh"
    fly = "python -m suites.canary --profile stack.toml"
    if profile.canary is None or canary is None:
        detail = "the canary is off: nobody has sent a message and seen it arrive"
        return Condition(name=name, state=State.MISSING, detail=detail, next_step=f"describe [canary], then: {fly}")
    if canary.age_s is None:
        return Condition(name=name, state=State.UNKNOWN, detail=canary.reason, next_step=fly)
    told = f"{canary.age_s / 3600:.1f} h old, canary.max_age_s is {profile.canary.max_age_s / 3600:.1f} h"
    state = State.MET if canary.age_s <= profile.canary.max_age_s else State.UNKNOWN
    return Condition(name=name, state=state, detail=told, next_step="" if state is State.MET else fly)
