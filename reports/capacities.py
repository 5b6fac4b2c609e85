"""The sections of a capacity search (`capacity-….json`) and of a comparison with a baseline (`compare-….json`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from load.results import MEANINGS, CapacityResult, ComparisonResult
from reports.charts import Dot, dots
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import Coverage, ExitCode, Judgement, Outcome, RunResult, Verdict
from verifier.render.html import Picture, ReportSection

_OUTCOMES: Final = {"held": "held", "broke": "missed a threshold", "generator": "limit of the generator"}
_VERDICTS: Final = {ExitCode.HOLDS: Verdict.HOLDS, ExitCode.VIOLATED: Verdict.VIOLATED}


def read_capacity(raw: dict[str, Any]) -> ReportSection:
    """A search as a section with one verdict. Raises pydantic.ValidationError."""
    found = CapacityResult.model_validate(raw)
    tried = [trial for trial in found.trials if trial.per_s == found.sustained_per_s]
    coverage = Coverage(
        seen=sum(trial.outcome == "held" for trial in tried), total=len(tried), unit="trials at this rate"
    )
    thresholds = [f"threshold: {name} {value:g}" for name, value in found.objectives.items()]
    rows = [
        [f"{trial.per_s:,.1f}", _OUTCOMES[trial.outcome], "; ".join(map(clean, trial.why))] for trial in found.trials
    ]
    return ReportSection(
        heading=f"Capacity: {found.stack}",
        result=_result(
            found,
            "load-capacity",
            "The highest rate that the server sustains is known",
            reason=found.told.splitlines()[-1],
            coverage=coverage,
            notes=thresholds,
        ),
        exit_code=ExitCode(found.exit_code),
        prose="\n\n".join(clean(line) for line in found.told.splitlines()),
        pictures=_pictures(found),
        tables=[("Rates, in the order of the trials", ["messages per second", "outcome", "why"], rows)],
    )


def read_comparison(raw: dict[str, Any]) -> ReportSection:
    """A comparison as a section with one verdict. Raises pydantic.ValidationError."""
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
    head = ["figure", "baseline", "new", "ratio", "95 % interval of the ratio", "result"]
    return ReportSection(
        heading=f"Comparison with a baseline: {found.stack}",
        result=_result(
            found,
            "load-comparison",
            "No figure is worse than in the baseline",
            reason=f"worse: {', '.join(worse)}" if worse else "too little data for some figures",
            coverage=Coverage(seen=len(known), total=len(found.differences), unit="figures"),
            notes=[f"runs: {', '.join(found.runs)}", f"baseline: {', '.join(found.beside)}", *found.notes],
        ),
        exit_code=ExitCode(found.exit_code),
        tables=[("Figures compared with the baseline", head, rows)],
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
            kind=_OUTCOMES[trial.outcome],
            tooltip=f"{trial.per_s:,.1f} per second: {trial.figures['send_p99_ms']:.1f} ms, {_OUTCOMES[trial.outcome]}",
        )
        for trial in found.trials
        if trial.figures.get("send_p99_ms")
    ]
    if not measured:
        return []
    svg = dots(
        measured,
        kinds=list(_OUTCOMES.values()),
        unit_x="1/s",
        unit_y="ms",
        title="99th percentile of the time to answer, by rate",
    )
    caption = "The time from when a message was due to its answer; 99 of 100 were faster. One mark for each trial. Logarithmic."
    return [Picture(title="Time to answer (99th percentile) by messages per second", svg=svg, caption=caption)]
