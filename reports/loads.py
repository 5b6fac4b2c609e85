"""A load run's account (`load-….json`) as a section of the report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from reports.charts import heat, lines
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import Coverage, ExitCode, Judgement, Outcome, RunResult, Verdict
from verifier.render.html import Picture, ReportSection

_TITLES = {
    "delivery": "Every acknowledged message arrived, once and unchanged",
    "order": "Messages of one sender are read in the order in which they were sent",
    "pushes": "Every stored message was pushed once, in its order, to each connection that was up",
    "receipts": "What was marked as read stays read",
}


class ProblemDocument(BaseModel):
    """One thing that went wrong."""

    model_config = ConfigDict(frozen=True)

    key: str
    summary: str
    expected: str
    actual: str
    next_step: str = ""
    evidence: dict[str, str] = {}


class JudgementDocument(BaseModel):
    """What one judge said."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    reason: str
    coverage: str
    problems_total: int
    problems: tuple[ProblemDocument, ...]
    notes: tuple[str, ...] = ()


class AfterDocument(BaseModel):
    """What the verifier said of the stack after the load."""

    model_config = ConfigDict(frozen=True)

    headline: str
    broken: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """As lines of the report; the verifier's own JSON, beside it, has the findings."""
        return (
            f"the stack after the load: {self.headline}",
            *(f"violated after the load: {name}" for name in self.broken),
        )


class LossRow(BaseModel):
    """What one conversation lost, and in which steps."""

    model_config = ConfigDict(frozen=True)

    conversation: str
    lost: int
    counts: tuple[tuple[int, int], ...]


class Timeline(BaseModel):
    """How the run went, a step after the other; see `load/judging/timeline.py`."""

    model_config = ConfigDict(frozen=True)

    step_s: float
    due: tuple[int, ...]
    sent: tuple[int, ...]
    acked: tuple[int, ...]
    refused: tuple[int, ...]
    pushed: tuple[int, ...]
    lost: tuple[int, ...]
    send_ms: dict[str, tuple[float | None, ...]]
    push_ms: dict[str, tuple[float | None, ...]]
    losses: tuple[LossRow, ...] = ()


class LoadDocument(BaseModel):
    """What `locust` and `python -m load judge` write; format 1."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    run_id: str
    stack: str
    started_at: datetime
    ended_at: datetime
    exit_code: int
    delivery: dict[str, Any] | None
    judgements: dict[str, JudgementDocument]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    latency_ms: dict[str, dict[str, float]] = {}
    generator: str = ""
    timeline: Timeline | None = None
    after: AfterDocument | None = None

    @field_validator("timeline", mode="before")
    @classmethod
    def _none_for_empty(cls, value: Any) -> Any:
        return value or None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadProblem(Finding):
    """A problem of a load run, told like a finding; what looks at it again is its journal's judge."""

    run_id: str

    @property
    def recheck_command(self) -> str:
        """What to type to judge the record again."""
        return f"python -m load judge reports/out/load-{self.run_id}-*.jsonl"


def read_load(raw: dict[str, Any]) -> ReportSection:
    """The load run as a section whose checks are its judges. Raises pydantic's ValidationError for anything else."""
    document = LoadDocument.model_validate(raw)
    result = _result(document)
    return ReportSection(
        heading=f"Load: {result.stack}",
        result=result,
        exit_code=ExitCode(document.exit_code),
        prose="\n\n".join(f"Not to be believed: {doubt}." for doubt in document.doubts),
        pictures=pictures(document.timeline) if document.timeline else (),
        tables=_tables(document),
    )


def pictures(timeline: Timeline) -> list[Picture]:
    """Throughput, latency and, where there was any, loss over time."""
    step_s = timeline.step_s
    rates = {name: getattr(timeline, name) for name in ("due", "sent", "acked", "pushed", "refused")}
    per_s = {name: [count / step_s for count in counts] for name, counts in rates.items() if any(counts)}
    found = [
        Picture(
            title="Messages per second",
            svg=lines(per_s, step_s=step_s, unit="1/s", title="messages per second over time"),
            caption="due: as the plan wanted it; a gap between due and sent is back-log. One push for each receiver's connection.",
        )
    ]
    latency = {
        f"{name} {percentile}": values
        for name, line in (("send", timeline.send_ms), ("push", timeline.push_ms))
        for percentile, values in line.items()
    }
    if any(value is not None for values in latency.values() for value in values):
        found.append(
            Picture(
                title="Latency",
                svg=lines(latency, step_s=step_s, unit="ms", title="latency percentiles over time", log=True),
                caption="From the moment at which a message was due: to its answer (send), to each receiver (push). Logarithmic.",
            )
        )
    if timeline.losses:
        rows = [(clean(row.conversation), dict(row.counts)) for row in timeline.losses]
        found.append(
            Picture(
                title="Lost messages by conversation",
                svg=heat(rows, steps=len(timeline.lost), step_s=step_s, title="lost messages by conversation and time"),
                caption=f"When they were sent; {sum(timeline.lost)} in all, the {len(rows)} conversations that lost most.",
            )
        )
    return found


def _tables(document: LoadDocument) -> list[tuple[str, list[str], list[list[str]]]]:
    names = list(dict.fromkeys(name for found in document.latency_ms.values() for name in found))
    ends = {"send": "due to answer", "push": "due to push"}
    rows = [
        [ends.get(name, name), *(f"{found[each]:.1f}" if each in found else "" for each in names)]
        for name, found in document.latency_ms.items()
    ]
    tables = [("Latency of the whole run, ms", ["", *names], rows)] if rows else []
    if document.delivery is not None:
        sends = {name.replace("_", " "): count for name, count in document.delivery.items() if isinstance(count, int)}
        tables.append(("Sends", list(sends), [[f"{count:,}" for count in sends.values()]]))
        if due := document.delivery.get("deliveries"):
            tables.append(("Deliveries", list(due), [[f"{count:,}" for count in due.values()]]))
    return tables


def _result(document: LoadDocument) -> RunResult:
    notes = [*document.notes, *([document.generator] if document.generator else [])]
    if document.delivery is None:
        notes.append("nothing was sent")
    return RunResult(
        run_id=document.run_id,
        stack=document.stack,
        phase="load",
        started_at=document.started_at,
        ended_at=document.ended_at,
        outcomes=tuple(_outcome(document, name, item) for name, item in document.judgements.items()),
        notes=(*notes, *(document.after.notes if document.after else ())),
    )


def _outcome(document: LoadDocument, name: str, judgement: JudgementDocument) -> Outcome:
    return Outcome(
        check_id=f"load-{name}",
        title=_TITLES.get(name, name),
        severity=Severity.CRITICAL,
        judgement=Judgement(
            verdict=judgement.verdict,
            reason=judgement.reason,
            coverage=(Coverage(text=judgement.coverage),),
            notes=judgement.notes,
            findings=tuple(_finding(document, name, item) for item in judgement.problems),
            findings_total=judgement.problems_total,
        ),
        started_at=document.started_at,
        ended_at=document.ended_at,
    )


def _finding(document: LoadDocument, name: str, problem: ProblemDocument) -> LoadProblem:
    identity = f"{document.run_id}\0{name}\0{problem.key}\0{problem.summary}"
    return LoadProblem(
        check_id=f"load-{name}",
        severity=Severity.CRITICAL,
        key=problem.key,
        raw_key="",
        run_id=document.run_id,
        summary=problem.summary,
        expected=problem.expected,
        actual=problem.actual,
        next_step=problem.next_step,
        evidence=problem.evidence,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:16],
        first_seen_at=document.started_at,
        confirmed_at=document.ended_at,
    )
