"""A load run's account (`load-….json`) as a section of the report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from verifier.finding import Finding
from verifier.model import Severity
from verifier.verdict import Coverage, ExitCode, Judgement, Outcome, RunResult, Verdict

_TITLES = {
    "delivery": "Every acknowledged message arrived, once and unchanged",
    "order": "Messages of one sender are read in the order in which they were sent",
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
    after: AfterDocument | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadProblem(Finding):
    """A problem of a load run, told like a finding; what looks at it again is its journal's judge."""

    run_id: str

    @property
    def recheck_command(self) -> str:
        """What to type to judge the record again."""
        return f"python -m load judge reports/out/load-{self.run_id}-*.jsonl"


def read_load(raw: dict[str, Any]) -> tuple[RunResult, ExitCode]:
    """The load run as a run whose checks are its judges. Raises pydantic's ValidationError for anything else."""
    document = LoadDocument.model_validate(raw)
    result = RunResult(
        run_id=document.run_id,
        stack=document.stack,
        phase="load",
        started_at=document.started_at,
        ended_at=document.ended_at,
        outcomes=tuple(_outcome(document, name, item) for name, item in document.judgements.items()),
        notes=(*document.notes, *_numbers(document.delivery), *(document.after.notes if document.after else ())),
    )
    return result, ExitCode(document.exit_code)


def _numbers(delivery: dict[str, Any] | None) -> list[str]:
    if delivery is None:
        return ["nothing was sent"]
    return [f"{name.replace('_', ' ')}: {value}" for name, value in delivery.items() if isinstance(value, int)]


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
