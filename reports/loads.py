"""The section of a load run (`load-….json`)."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

from load.results import AfterResult, JudgementResult, LoadResult, ProblemResult, Timeline
from reports.charts import heat, lines
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import Coverage, ExitCode, Judgement, Outcome, RunResult
from verifier.render.html import Picture, ReportSection

_TITLES = {
    "delivery": "Every acknowledged message arrived, once and unchanged",
    "order": "Messages of one sender are read in the order in which they were sent",
    "pushes": "Every stored message was pushed once, in order, to each open connection",
    "receipts": "Read marks are kept",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadProblem(Finding):
    """A problem of a load run, as a finding. It is rechecked by judging the journal again."""

    run_id: str

    @property
    def recheck_command(self) -> str:
        """The command that judges the journal again."""
        return f"python -m load judge reports/out/load-{self.run_id}-*.jsonl"


def read_load(raw: dict[str, Any]) -> ReportSection:
    """A load run as a section: each judge is a check. Raises pydantic.ValidationError."""
    document = LoadResult.model_validate(raw)
    result = _result(document)
    return ReportSection(
        heading=f"Load: {result.stack}",
        result=result,
        exit_code=ExitCode(document.exit_code),
        prose="\n\n".join(f"Unreliable: {doubt}." for doubt in document.doubts),
        pictures=pictures(document.timeline) if document.timeline else (),
        tables=_tables(document),
    )


def pictures(timeline: Timeline) -> list[Picture]:
    """Throughput, latency and, if any, loss over time."""
    step_s = timeline.step_s
    rates = {name: getattr(timeline, name) for name in ("due", "sent", "acked", "pushed", "refused")}
    per_s = {name: [count / step_s for count in counts] for name, counts in rates.items() if any(counts)}
    found = [
        Picture(
            title="Messages per second",
            svg=lines(per_s, step_s=step_s, unit="1/s", title="messages per second over time"),
            caption="due: as planned. A gap between due and sent is backlog. Each receiver's connection gets a push of its own.",
        )
    ]
    if timeline.readable:
        unstored = list(
            itertools.accumulate(
                acked - readable for acked, readable in zip(timeline.acked, timeline.readable, strict=True)
            )
        )
        found.append(
            Picture(
                title="Acknowledged and not yet readable",
                svg=lines(
                    {"messages": [max(0, count) for count in unstored]},
                    step_s=step_s,
                    unit="messages",
                    title="unstored messages over time",
                ),
                caption="The server's queue. If it grows while messages are sent, the rate is not sustained, however fast the answers are.",
            )
        )
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
                caption="From the time when a message was due to its answer (send) and to its arrival at each receiver (push). Logarithmic.",
            )
        )
    if timeline.losses:
        rows = [(clean(row.conversation), dict(row.counts)) for row in timeline.losses]
        found.append(
            Picture(
                title="Lost messages by conversation",
                svg=heat(rows, steps=len(timeline.lost), step_s=step_s, title="lost messages by conversation and time"),
                caption=f"By the time when they were sent. {sum(timeline.lost)} in total; the {len(rows)} conversations that lost most.",
            )
        )
    return found


def _tables(document: LoadResult) -> list[tuple[str, list[str], list[list[str]]]]:
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
        if document.backlog is not None:
            backlog = {name.replace("_", " "): value for name, value in document.backlog if value is not None}
            tables.append(
                ("Backlog of unstored messages", list(backlog), [[f"{value:,}" for value in backlog.values()]])
            )
        if due := document.delivery.get("deliveries"):
            tables.append(("Deliveries", list(due), [[f"{count:,}" for count in due.values()]]))
    return tables


def _result(document: LoadResult) -> RunResult:
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
        notes=(*notes, *(_after_notes(document.after) if document.after else ())),
    )


def _after_notes(after: AfterResult) -> list[str]:
    """What the verifier found after the load, as notes; its own JSON file has the findings."""
    return [
        f"the stack after the load: {after.headline}",
        *(f"violated after the load: {name}" for name in after.broken),
    ]


def _outcome(document: LoadResult, name: str, judgement: JudgementResult) -> Outcome:
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


def _finding(document: LoadResult, name: str, problem: ProblemResult) -> LoadProblem:
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
