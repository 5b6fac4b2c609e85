"""A capacity search (`capacity-….json`) and a comparison with a baseline (`compare-….json`) as sections of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from load.results import MEANINGS, CapacityResult, ComparisonResult
from reports.charts import Dot, dots
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import Coverage, ExitCode, Judgement, Outcome, RunResult, Verdict
from verifier.render.html import Picture, ReportSection

_KINDS: Final = {"held": "held", "broke": "broke an objective", "generator": "generator's limit"}
_VERDICTS: Final = {ExitCode.HOLDS: Verdict.HOLDS, ExitCode.VIOLATED: Verdict.VIOLATED}


def read_capacity(raw: dict[str, Any]) -> ReportSection:
    """A search as a section with one verdict. Raises pydantic's ValidationError for anything else."""
    found = CapacityResult.model_validate(raw)
    tried = [trial for trial in found.trials if trial.per_s == found.sustained_per_s]
    coverage = Coverage(
        seen=sum(trial.outcome == "held" for trial in tried), total=len(tried), unit="trials at this rate"
    )
    objectives = [f"objective: {name} {value:g}" for name, value in found.objectives.items()]
    rows = [[f"{trial.per_s:,.1f}", _KINDS[trial.outcome], "; ".join(map(clean, trial.why))] for trial in found.trials]
    return ReportSection(
        heading=f"Capacity: {found.stack}",
        result=_result(
            found,
            "load-capacity",
            "A number of messages per second is sustained, and known to be the server's limit",
            reason=found.told.splitlines()[-1],
            coverage=coverage,
            notes=objectives,
        ),
        exit_code=ExitCode(found.exit_code),
        prose="\n\n".join(clean(line) for line in found.told.splitlines()),
        pictures=_pictures(found),
        tables=[("Rates in the order in which they were tried", ["messages per second", "outcome", "why"], rows)],
    )


def read_comparison(raw: dict[str, Any]) -> ReportSection:
    """A comparison as a section with one verdict. Raises pydantic's ValidationError for anything else."""
    found = ComparisonResult.model_validate(raw)
    known = [item for item in found.differences if item.meaning != "unknown"]
    worse = [item.figure for item in found.differences if item.meaning == "worse"]
    rows = [
        [
            item.figure,
            f"{item.baseline:,.2f}",
            f"{item.new:,.2f}",
            f"{item.new / item.baseline:.2f}" if item.baseline else "",
            f"{item.low:.2f} to {item.high:.2f}",
            MEANINGS[item.meaning],
        ]
        for item in found.differences
    ]
    head = ["", "baseline", "new", "ratio", "95 % interval", ""]
    return ReportSection(
        heading=f"Compared with a baseline: {found.stack}",
        result=_result(
            found,
            "load-comparison",
            "No figure is worse than in the baseline",
            reason=f"worse: {', '.join(worse)}" if worse else "too little was measured to tell all figures",
            coverage=Coverage(seen=len(known), total=len(found.differences), unit="figures"),
            notes=[f"runs: {', '.join(found.runs)}", f"baseline: {', '.join(found.beside)}", *found.notes],
        ),
        exit_code=ExitCode(found.exit_code),
        tables=[("Figures beside their baseline", head, rows)],
    )


def _result(
    found: CapacityResult | ComparisonResult,
    check_id: str,
    title: str,
    *,
    reason: str,
    coverage: Coverage,
    notes: Sequence[str],
) -> RunResult:
    verdict = _VERDICTS.get(ExitCode(found.exit_code), Verdict.INCONCLUSIVE)
    judgement = Judgement(
        verdict=verdict, reason="" if verdict is Verdict.HOLDS else reason, coverage=(coverage,), notes=tuple(notes)
    )
    return RunResult(
        run_id=found.ended_at.strftime("%Y%m%dT%H%M%SZ"),
        stack=found.stack,
        phase="load",
        started_at=found.started_at,
        ended_at=found.ended_at,
        outcomes=(
            Outcome(
                check_id=check_id,
                title=title,
                severity=Severity.HIGH,
                judgement=judgement,
                started_at=found.started_at,
                ended_at=found.ended_at,
            ),
        ),
    )


def _pictures(found: CapacityResult) -> list[Picture]:
    measured = [
        Dot(
            x=trial.per_s,
            y=trial.figures["send_p99_ms"],
            kind=_KINDS[trial.outcome],
            told=f"{trial.per_s:,.1f} per second: {trial.figures['send_p99_ms']:.1f} ms, {_KINDS[trial.outcome]}",
        )
        for trial in found.trials
        if trial.figures.get("send_p99_ms")
    ]
    if not measured:
        return []
    svg = dots(
        measured, kinds=list(_KINDS.values()), unit_x="1/s", unit_y="ms", title="99th percentile of the answers by rate"
    )
    caption = (
        "99 of 100 messages were answered within so long after they were due; one mark for each trial. Logarithmic."
    )
    return [Picture(title="Answers by messages per second", svg=svg, caption=caption)]
