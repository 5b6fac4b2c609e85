"""The service is healthy if the run that was due has finished."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.verifier.service.states import NOON, outcome, run, state
from verifier.model.verdict import Verdict
from verifier.profile.cron import cron_trigger
from verifier.service.health import Health, judge_health
from verifier.service.state import ServiceState

HOURLY = cron_trigger("0 * * * *")


def health(made: ServiceState, *, after_min: float) -> Health:
    """The health `after_min` minutes after noon."""
    return judge_health(made, HOURLY, NOON + timedelta(minutes=after_min))


def test_a_violated_run_is_healthy() -> None:
    """A violated invariant is a result, not a failure of the service."""
    assert health(state(latest=run(outcome("USR-01", Verdict.VIOLATED))), after_min=30).well


@pytest.mark.parametrize(("after_min", "well"), [(59, True), (74, True), (76, False)])
def test_a_missed_run_is_unhealthy_after_the_grace_period(after_min: float, well: bool) -> None:
    """The run due at 13:00 may end until 13:15; then the reason names it."""
    found = health(state(latest=run()), after_min=after_min)
    assert found.well is well
    assert well or "the run due 2026-01-05 13:00:00 UTC" in found.reasons[0]


def test_long_runs_have_a_longer_grace_period() -> None:
    """After a run of 30 minutes the grace period is 60 minutes."""
    assert health(state(latest=run(took_s=1800)), after_min=110).well
    assert not health(state(latest=run(took_s=1800)), after_min=121).well


@pytest.mark.parametrize(("after_min", "well"), [(10, True), (70, True), (80, False)])
def test_no_run_yet(after_min: float, well: bool) -> None:
    """A new service is healthy until its first run is overdue."""
    assert health(state(), after_min=after_min).well is well


def test_a_failed_run_is_unhealthy_at_once() -> None:
    """The reason is the error."""
    found = health(state(latest=run(), failure="the history is full"), after_min=1)
    assert found.reasons == ("the last run failed: the history is full",)


def test_a_run_that_does_not_end_is_unhealthy() -> None:
    """A run in progress may take the check timeout plus the grace period."""
    started = NOON + timedelta(minutes=60)
    assert health(state(latest=run(), running_since=started), after_min=120).well
    assert not health(state(latest=run(), running_since=started), after_min=60 + 60 + 16).well


def test_an_invalid_profile_is_a_warning() -> None:
    """The previous profile is used, and the error is shown."""
    found = health(state(latest=run(), profile_error="stack.toml is not valid TOML"), after_min=1)
    assert found.well
    assert "not valid TOML" in found.warnings[0]


def test_a_schedule_that_never_fires_is_unhealthy() -> None:
    """Such as 30 February."""
    never = cron_trigger("0 0 30 2 *")
    assert "never fires" in judge_health(state(latest=run()), never, NOON).reasons[0]
