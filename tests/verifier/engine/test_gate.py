"""The phase gate: every condition is required, and together they allow the next phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.verifier.gate_profile import TEXT
from tests.verifier.history.samples import outcome
from verifier.engine.gate import CanaryAge, Condition, PastRun, Readiness, exit_code, judge_gate
from verifier.model.verdict import Coverage, ExitCode, Outcome, RunResult, Verdict
from verifier.profile import parse_profile

NOW = datetime(2026, 11, 25, 3, tzinfo=UTC)
KNOWN = ("USR-01", "PUB-01", "META-01")


def run(
    hours_ago: float, *, changed: Sequence[Outcome] = (), phase: str = "cutover", listened_s: float = 1300
) -> PastRun:
    """A complete run that ended `hours_ago`; `changed` replaces outcomes of a green run."""
    ended = NOW - timedelta(hours=hours_ago)
    tapped = outcome(check_id="PUB-01")
    tapped = replace(tapped, judgement=replace(tapped.judgement, coverage=(Coverage(observed_s=listened_s),)))
    outcomes = {item.check_id: item for item in (outcome(), tapped, outcome(check_id="META-01"), *changed)}
    return PastRun(
        result=RunResult(
            run_id=f"run{hours_ago:g}",
            stack="s",
            phase=phase,
            started_at=ended - timedelta(minutes=5),
            ended_at=ended,
            outcomes=tuple(outcomes.values()),
        )
    )


def part(item: PastRun) -> PastRun:
    """The same run with one check only."""
    return replace(item, result=replace(item.result, outcomes=item.result.outcomes[:1]))


def not_green(verdict: Verdict, reason: str = "why") -> Outcome:
    """USR-01 with another verdict."""
    item = outcome(verdict)
    return replace(item, judgement=replace(item.judgement, reason=reason))


NIGHTS = (run(1), run(25), run(49))
WAIVED = not_green(Verdict.WAIVED)
FRESH = CanaryAge(age_s=600)


def judge(
    runs: Sequence[PastRun] = NIGHTS, *, canary: CanaryAge | None = FRESH, text: str = TEXT, accepted: str = ""
) -> tuple[ExitCode, list[Condition]]:
    """The exit code, and the conditions that are not met."""
    conditions = judge_gate(
        parse_profile(text), iter(runs), known=KNOWN, accepted=frozenset(accepted.split()), canary=canary, now=NOW
    )
    return exit_code(conditions), [item for item in conditions if item.state is not Readiness.MET]


def test_three_green_nights_are_enough() -> None:
    """All conditions are met."""
    assert judge() == (ExitCode.HOLDS, [])


@pytest.mark.parametrize(
    ("runs", "code", "detail"),
    [
        ((), ExitCode.VIOLATED, "no complete run in phase cutover"),
        (NIGHTS[:2], ExitCode.VIOLATED, "2 so far"),
        ((run(1), run(25), run(49, phase="registered")), ExitCode.VIOLATED, "the stack was in phase registered"),
        ((run(1), run(2), run(3)), ExitCode.VIOLATED, "2.1 h so far"),
        ((run(27), run(51), run(75)), ExitCode.INCONCLUSIVE, "ended 27.0 h ago"),
        ((run(1, changed=[not_green(Verdict.VIOLATED)]), *NIGHTS[1:]), ExitCode.VIOLATED, "USR-01 violated"),
        ((run(1), run(25, changed=[not_green(Verdict.VIOLATED)]), run(49)), ExitCode.VIOLATED, "1 so far; run run25"),
        (
            (run(1), run(25, changed=[not_green(Verdict.INCONCLUSIVE)]), run(49)),
            ExitCode.VIOLATED,
            "USR-01 inconclusive",
        ),
        ((run(1), part(run(2, changed=[not_green(Verdict.VIOLATED)])), *NIGHTS[1:]), ExitCode.VIOLATED, "1 so far"),
        ((run(1), replace(run(9), baseline=True), *NIGHTS[1:]), ExitCode.VIOLATED, "a baseline was taken"),
        (tuple(run(hours, listened_s=30) for hours in (1, 25, 49)), ExitCode.VIOLATED, "PUB-01 0.03 h"),
        ((run(1, changed=[replace(outcome(), pending=True)]), *NIGHTS[1:]), ExitCode.VIOLATED, "came with an upgrade"),
        ((replace(run(0.5), finished=False), *NIGHTS), ExitCode.HOLDS, ""),
        ((part(run(0.5)), *NIGHTS), ExitCode.HOLDS, ""),
        ((run(1, changed=[WAIVED]), *NIGHTS[1:]), ExitCode.HOLDS, ""),
    ],
)
def test_conditions_on_past_runs(runs: Sequence[PastRun], code: ExitCode, detail: str) -> None:
    """Runs must be green in a row, complete, conclusive, recent, in this phase, and cover enough hours. Partial green runs do not count."""
    found, missing = judge(runs)
    assert found is code, missing
    assert detail in " ".join(item.detail for item in missing)
    assert all(item.next_step for item in missing)


def test_an_inconclusive_newest_run_is_not_green() -> None:
    """An inconclusive check breaks the row, unless it is accepted. Lost continuity breaks it in any case."""
    inconclusive = run(1, changed=[not_green(Verdict.INCONCLUSIVE)])
    assert judge((inconclusive, *NIGHTS[1:]))[0] is ExitCode.VIOLATED
    assert judge((inconclusive, *NIGHTS[1:]), accepted="USR-01")[0] is ExitCode.HOLDS
    lost = run(25, changed=[not_green(Verdict.INCONCLUSIVE, "continuity broken (crash recovery changed): armed anew")])
    code, missing = judge((run(1), lost, run(49)), accepted="USR-01")
    assert code is ExitCode.VIOLATED
    assert "lost continuity" in missing[0].detail


@pytest.mark.parametrize(
    ("canary", "text", "code"),
    [
        (None, TEXT.replace('[canary]\njournal = "canary"\n', ""), ExitCode.VIOLATED),
        (CanaryAge(age_s=None, reason="there is none"), TEXT, ExitCode.INCONCLUSIVE),
        (CanaryAge(age_s=90_000), TEXT, ExitCode.INCONCLUSIVE),
    ],
)
def test_the_canary_must_have_run_recently(canary: CanaryAge | None, text: str, code: ExitCode) -> None:
    """No canary: not met. An absent or old journal: unknown."""
    assert judge(canary=canary, text=text)[0] is code


def test_a_waiver_in_use_must_not_expire_soon() -> None:
    """A waiver in use that expires within a week is a condition that is not met; an unused one is ignored."""
    soon = TEXT.replace("2027-06-01", "2026-11-30")
    assert judge(text=soon)[0] is ExitCode.HOLDS
    code, missing = judge((run(1, changed=[WAIVED]), *NIGHTS[1:]), text=soon)
    assert code is ExitCode.VIOLATED
    assert "USR-01 (ann, 2026-11-30)" in missing[0].detail


def test_a_check_that_the_newest_run_did_not_judge_is_unknown() -> None:
    """A check that came with an upgrade is judged by the next run."""
    extra = outcome(check_id="X-1")
    older = tuple(run(hours, changed=[extra]) for hours in (1, 25, 49))
    assert judge(older)[0] is ExitCode.HOLDS
    conditions = judge_gate(
        parse_profile(TEXT), older, known=("X-2", *KNOWN), accepted=frozenset(), canary=FRESH, now=NOW
    )
    assert "it did not judge X-2" in conditions[0].detail
