"""Is the nightly proof alive? Judged from the schedule: the run that was due must have ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

from verifier.model.text import at_text, duration_text
from verifier.service.state import State

GRACE_S = 900.0
"""How late a run's end may be, at least; twice the time that the last one took, if that is more."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """`reasons` say why it is not well; `warnings` do not make it ill."""

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether the last scheduled run is fresh enough."""
        return not self.reasons


def judge_health(state: State, trigger: BaseTrigger, now: datetime) -> Health:
    """Verdicts play no part in it: a violated invariant is a result, not an illness of the service.

    A service that has no run yet is well until its first one is overdue, so that nothing restarts it while it waits.
    """
    reasons = []
    warnings = [f"the profile on disk is not in force: {state.profile_fault}"] if state.profile_fault else []
    if state.failure:
        reasons.append(f"the last run failed: {state.failure}")
    last = state.latest
    took_s = (last.ended_at - last.started_at).total_seconds() if last else 0.0
    grace = timedelta(seconds=max(GRACE_S, 2 * took_s))
    if state.running_since is not None:
        limit = grace + timedelta(seconds=state.profile.timing.check_timeout_s)
        if now - state.running_since > limit:
            reasons.append(f"a run has been under way since {at_text(state.running_since)} and does not end")
        return Health(reasons=tuple(reasons), warnings=tuple(warnings))
    due = next_after(trigger, last.started_at if last else state.started_at)
    if due is None:
        reasons.append(f"schedule.cron ({state.profile.schedule.cron}) never fires again")
    elif now > due + grace:
        before = f"the last run began {at_text(last.started_at)}" if last else "there is no run yet"
        late = duration_text((now - due).total_seconds())
        reasons.append(f"{before}; the one due {at_text(due)} is {late} late")
    return Health(reasons=tuple(reasons), warnings=tuple(warnings))


def next_after(trigger: BaseTrigger, moment: datetime) -> datetime | None:
    """The first time that a schedule fires after a moment."""
    found: datetime | None = trigger.get_next_fire_time(None, moment + timedelta(seconds=1))
    return found
