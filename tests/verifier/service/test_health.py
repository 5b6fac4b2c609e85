"""Health is about the schedule: was the run that was due made, and made to its end?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.verifier.service.states import NOON, outcome, run, state
from verifier.model.verdict import Verdict
from verifier.service.health import Health, judge_health
from verifier.service.schedule import cron_trigger
from verifier.service.state import ServiceState

HOURLY = cron_trigger("0 * * * *", setting="schedule.cron")


def health(made: ServiceState, *, after_min: float) -> Health:
    """The health some minutes after noon."""
    return judge_health(made, HOURLY, NOON + timedelta(minutes=after_min))


def test_a_violated_run_is_well() -> None:
    """A breach is a result; it is in the metrics and in the report, and no illness of the service."""
    assert health(state(latest=run(outcome("USR-01", Verdict.VIOLATED))), after_min=30).well


@pytest.mark.parametrize(("after_min", "well"), [(59, True), (74, True), (76, False)])
def test_a_missed_run_is_told_after_the_grace(after_min: float, well: bool) -> None:
    """The run of one o'clock may end a quarter past; then it is late, and the sentence says which."""
    found = health(state(latest=run()), after_min=after_min)
    assert found.well is well
    assert well or "the one due 2026-01-05 13:00:00 UTC" in found.reasons[0]


def test_long_runs_get_a_longer_grace() -> None:
    """A run that takes half an hour is not late after a quarter."""
    assert health(state(latest=run(took_s=1800)), after_min=110).well
    assert not health(state(latest=run(took_s=1800)), after_min=121).well


@pytest.mark.parametrize(("after_min", "well"), [(10, True), (70, True), (80, False)])
def test_no_run_yet(after_min: float, well: bool) -> None:
    """A new service is well until its first run is overdue."""
    assert health(state(), after_min=after_min).well is well


def test_a_failed_run_is_a_reason_at_once() -> None:
    """Whoever is on call reads why."""
    found = health(state(latest=run(), failure="the history is full"), after_min=1)
    assert found.reasons == ("the last run failed: the history is full",)


def test_a_run_that_never_ends() -> None:
    """While a run is under way nothing is late, until it has had the time of the slowest check."""
    started = NOON + timedelta(minutes=60)
    assert health(state(latest=run(), running_since=started), after_min=120).well
    assert not health(state(latest=run(), running_since=started), after_min=60 + 60 + 16).well


def test_a_broken_profile_is_a_warning() -> None:
    """The old profile goes on; the fault is shown."""
    found = health(state(latest=run(), profile_error="stack.toml is not valid TOML"), after_min=1)
    assert found.well
    assert "not valid TOML" in found.warnings[0]


def test_a_schedule_that_never_fires() -> None:
    """The thirtieth of February would never be missed."""
    never = cron_trigger("0 0 30 2 *", setting="schedule.cron")
    assert "never fires" in judge_health(state(latest=run()), never, NOON).reasons[0]
