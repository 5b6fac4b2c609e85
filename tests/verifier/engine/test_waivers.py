"""Waivers and pending checks: what they take out of the exit code, and what they never hide."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tests.verifier.history.samples import finding, outcome, violated
from tests.verifier.history.samples import result as run_of
from verifier.checks.catalogue import load_checks
from verifier.engine.pending_checks import with_pending
from verifier.engine.plan import Plan, make_plan
from verifier.engine.waivers import apply_waivers, unused_waivers
from verifier.history import History
from verifier.model.text import conclusion, headline
from verifier.model.verdict import ExitCode, Judgement, RunResult, Verdict
from verifier.profile import Profile, ProfileError, parse_profile
from verifier.render.json import to_json
from verifier.render.junit import to_junit

TODAY = date(2026, 11, 23)
BASE = 'stack = "s"\nphase = "baseline"\n[roles]\n'


def profile(*waivers: str) -> Profile:
    """A profile with these waivers of USR-01."""
    tables = "".join(
        f'[[waivers]]\ncheck = "USR-01"\nowner = "ann"\nreason = "import runs"\n{item}\n' for item in waivers
    )
    return parse_profile(BASE + tables)


@pytest.fixture
def judgement() -> Judgement:
    """Three findings."""
    with History.open("memory:", stack="s") as history:
        return violated([finding(history, f"u{number}") for number in range(3)]).judgement


@pytest.mark.parametrize(
    ("waivers", "verdict", "note"),
    [
        (("expires = 2026-12-01",), Verdict.WAIVED, ""),
        (("expires = 2026-11-23",), Verdict.WAIVED, ""),
        (("expires = 2026-11-22",), Verdict.VIOLATED, "expired waiver of ann"),
        (("expires = 2026-12-01\nmax_findings = 3",), Verdict.WAIVED, ""),
        (("expires = 2026-12-01\nmax_findings = 2",), Verdict.VIOLATED, "exceeded waiver of ann"),
        (
            ("expires = 2026-12-01\nfingerprints = ['FIRST']",),
            Verdict.VIOLATED,
            "2 of 3 findings are covered by no waiver",
        ),
        (("expires = 2026-12-01\nfingerprints = ['FIRST', 'SECOND', 'THIRD']",), Verdict.WAIVED, ""),
        (
            (
                "expires = 2026-12-01\nfingerprints = ['FIRST']",
                "expires = 2026-12-01\nfingerprints = ['SECOND', 'THIRD']",
            ),
            Verdict.WAIVED,
            "",
        ),
        (("expires = 2026-11-01", "expires = 2026-12-01"), Verdict.WAIVED, "expired waiver of ann"),
        (("expires = 2026-12-01\nfingerprints = ['00000000']",), Verdict.VIOLATED, "unused waiver of ann"),
    ],
)
def test_what_a_waiver_covers(judgement: Judgement, waivers: tuple[str, ...], verdict: Verdict, note: str) -> None:
    """A date, a number, some findings: everything that is left over is violated, and the note says why."""
    names = [item.fingerprint for item in judgement.findings]
    texts = [
        text.replace("FIRST", names[0]).replace("SECOND", names[1][:8]).replace("THIRD", names[2]) for text in waivers
    ]
    judged = apply_waivers(judgement, "USR-01", profile(*texts), TODAY)
    assert judged.verdict is verdict
    assert note in "\n".join(judged.notes)
    assert judged.findings == judgement.findings
    if verdict is Verdict.WAIVED:
        assert "import runs" in judged.reason


def test_findings_that_are_not_listed_are_covered_by_no_narrow_waiver(judgement: Judgement) -> None:
    """A check that found more than it lists cannot be waived finding by finding."""
    names = ", ".join(f"'{item.fingerprint}'" for item in judgement.findings)
    narrow = profile(f"expires = 2026-12-01\nfingerprints = [{names}]")
    assert apply_waivers(replace(judgement, findings_total=9), "USR-01", narrow, TODAY).verdict is Verdict.VIOLATED


def test_an_unused_waiver_is_a_warning_for_the_whole_run(judgement: Judgement) -> None:
    """On the verdict and once for the run; it changes no verdict."""
    judged = apply_waivers(outcome().judgement, "USR-01", profile("expires = 2026-12-01"), TODAY)
    assert judged.verdict is Verdict.HOLDS
    assert judged.notes[-1].startswith("unused waiver of ann")
    assert "unused waivers: USR-01" in unused_waivers([replace(outcome(), judgement=judged)])[0]
    assert unused_waivers([outcome()]) == ()


def test_a_waiver_names_fingerprints_as_reports_show_them() -> None:
    """Anything else is an error of the profile."""
    with pytest.raises(ProfileError, match="is not a fingerprint"):
        profile("expires = 2026-12-01\nfingerprints = ['u1']")


# -- pending --


def plan_of(*, only: tuple[str, ...] = ()) -> Plan:
    """All checks, or some."""
    return make_plan(load_checks(), parse_profile(BASE), only=only)


def test_the_first_run_accepts_every_check() -> None:
    """Also those that it was not asked to judge; nothing is pending afterwards."""
    with History.open("memory:", stack="s") as history:
        assert with_pending(plan_of(only=("USR",)), history, "report").pending == frozenset()
        assert history.accepted() == set(plan_of().known)
        assert with_pending(plan_of(), history, "report").pending == frozenset()


def test_a_check_that_came_with_an_upgrade_is_pending_until_it_is_accepted() -> None:
    """By the policy `report` it is marked and named; by `fail` it counts at once, with a note."""
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


def test_a_history_from_before_the_lists_accepts_what_it_has_judged() -> None:
    """So that the checks of the very upgrade that brought the lists are pending, too."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", outcome().started_at)
            for name in set(plan_of().known) - {"TOK-06"}:
                history.record(outcome(check_id=name))
            history.finish(run_of("r1"))
        assert with_pending(plan_of(), history, "report").pending == {"TOK-06"}


def test_a_history_that_knows_a_few_checks_alone_accepts_all() -> None:
    """A baseline or a run of one check, before the first whole run, makes nothing pending."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", outcome().started_at)
            history.record(outcome())
            history.finish(run_of("r1"))
        assert with_pending(plan_of(), history, "report").pending == frozenset()


def test_a_what_if_accepts_nothing() -> None:
    """It leaves nothing behind."""
    with History.open("memory:", stack="s") as history:
        with_pending(replace(plan_of(), what_if=True), history, "report")
        assert history.accepted() == frozenset()


@pytest.mark.parametrize("verdict", [Verdict.VIOLATED, Verdict.INCONCLUSIVE])
def test_a_pending_check_does_not_fail_the_pipeline(verdict: Verdict) -> None:
    """Exit code 0, no failure in JUnit; the verdict is in every report all the same, and said to be pending."""
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
