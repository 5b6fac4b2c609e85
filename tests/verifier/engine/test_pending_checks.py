"""Pending checks: when a check is pending, and that it does not count in the exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verifier.history.samples import outcome
from tests.verifier.history.samples import result as run_of
from verifier.checks.catalogue import load_checks
from verifier.engine.pending_checks import with_pending
from verifier.engine.plan import Plan, make_plan
from verifier.history import History
from verifier.model.text import conclusion, headline
from verifier.model.verdict import ExitCode, RunResult, Verdict
from verifier.profile import parse_profile
from verifier.render.json import to_json
from verifier.render.junit import to_junit

BASE = 'stack = "s"\nphase = "baseline"\n[roles]\n'


def plan_of(*, only: tuple[str, ...] = ()) -> Plan:
    """All checks, or some."""
    return make_plan(load_checks(), parse_profile(BASE), only=only)


def test_the_first_run_accepts_every_check() -> None:
    """It accepts checks that were not selected as well; nothing is pending afterwards."""
    with History.open("memory:", stack="s") as history:
        assert with_pending(plan_of(only=("USR",)), history, "report").pending == frozenset()
        assert history.accepted() == set(plan_of().known)
        assert with_pending(plan_of(), history, "report").pending == frozenset()


def test_a_new_check_is_pending_until_it_is_accepted() -> None:
    """With policy `report` it is marked as pending and named in a note; with `fail` it counts, with a note."""
    with History.open("memory:", stack="s") as history:
        history.accept(set(plan_of().known) - {"USR-01"})
        reported = with_pending(plan_of(), history, "report")
        assert reported.pending == {"USR-01"}
        assert "verifier accept USR-01" in reported.notes[-1]
        counted = with_pending(plan_of(), history, "fail")
        assert counted.pending == frozenset()
        assert "USR-01" in counted.notes[-1]
        history.accept(["USR-01"])
        assert with_pending(plan_of(), history, "report").pending == frozenset()


def test_an_older_history_accepts_the_checks_it_has_judged() -> None:
    """A history without a list of accepted checks: checks that came with the same upgrade are pending."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", outcome().started_at)
            for name in set(plan_of().known) - {"TOK-06"}:
                history.record(outcome(check_id=name))
            history.finish(run_of("r1"))
        assert with_pending(plan_of(), history, "report").pending == {"TOK-06"}


def test_an_older_history_with_few_judged_checks_accepts_all() -> None:
    """A run of one check before the first complete run makes nothing pending."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", outcome().started_at)
            history.record(outcome())
            history.finish(run_of("r1"))
        assert with_pending(plan_of(), history, "report").pending == frozenset()


def test_a_what_if_accepts_nothing() -> None:
    """It stores no accepted checks."""
    with History.open("memory:", stack="s") as history:
        with_pending(replace(plan_of(), what_if=True), history, "report")
        assert history.accepted() == frozenset()


@pytest.mark.parametrize("verdict", [Verdict.VIOLATED, Verdict.INCONCLUSIVE])
def test_a_pending_check_does_not_fail_the_pipeline(verdict: Verdict) -> None:
    """Exit code 0 and no failure in JUnit; reports show the verdict and that it is pending."""
    judged = RunResult(
        run_id="r", stack="s", phase="cutover", started_at=outcome().started_at, ended_at=outcome().started_at
    )
    pending = replace(outcome(verdict), pending=True)
    judged = replace(judged, outcomes=(outcome(check_id="USR-02"), pending))
    assert judged.exit_code() is ExitCode.HOLDS
    assert replace(judged, outcomes=(replace(pending, pending=False),)).exit_code() is not ExitCode.HOLDS
    assert "pending" in headline(judged)
    assert conclusion(judged) == "Everything applicable holds"
    assert 'failures="0" errors="0" skipped="1"' in to_junit(judged)
    check = to_json(judged)["checks"][1]
    assert (check["pending"], check["verdict"]) == (True, verdict.value)
