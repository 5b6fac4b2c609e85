"""Health of the service, judged from the schedule: the run that was due must have ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

from verifier.model.text import at_text, duration_text
from verifier.service.state import ServiceState

GRACE_S = 900.0
"""Seconds that a run may take after it was due; twice the duration of the last run, if that is longer."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """`reasons` say why the service is unhealthy; `warnings` do not affect health."""

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether the last scheduled run is recent enough."""
        return not self.reasons


def judge_health(state: ServiceState, trigger: BaseTrigger, now: datetime) -> Health:
    """Judge the health of the service at `now`. Verdicts do not matter: a violated invariant is a result, not a failure.

    A service without a run is healthy until its first run is overdue, so that nothing restarts it while it waits.
    """
    reasons = []
    warnings = (
        [f"the profile on disk cannot be used; the previous one is used: {state.profile_error}"]
        if state.profile_error
        else []
    )
    if state.failure:
        reasons.append(f"the last run failed: {state.failure}")
    last = state.latest
    took_s = (last.ended_at - last.started_at).total_seconds() if last else 0.0
    grace = timedelta(seconds=max(GRACE_S, 2 * took_s))
    if state.running_since is not None:
        limit = grace + timedelta(seconds=state.profile.timing.check_timeout_s)
        if now - state.running_since > limit:
            reasons.append(f"a run has been in progress since {at_text(state.running_since)} and has not ended")
        return Health(reasons=tuple(reasons), warnings=tuple(warnings))
    due = next_after(trigger, last.started_at if last else state.started_at)
    if due is None:
        reasons.append(f"schedule.cron ({state.profile.schedule.cron}) never fires again")
    elif now > due + grace:
        before = f"the last run started {at_text(last.started_at)}" if last else "there is no run yet"
        late = duration_text((now - due).total_seconds())
        reasons.append(f"{before}; the run due {at_text(due)} is {late} late")
    return Health(reasons=tuple(reasons), warnings=tuple(warnings))


def next_after(trigger: BaseTrigger, moment: datetime) -> datetime | None:
    """The first time after `moment` at which the trigger fires, or None."""
    found: datetime | None = trigger.get_next_fire_time(None, moment + timedelta(seconds=1))
    return found
