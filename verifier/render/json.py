"""JSON: the machine's report. The shape is versioned; fields are added within a version, never changed or taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from verifier.history.records import StoredFinding
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.redact import clean_finding, clean_result
from verifier.model.text import EXIT_MEANING, conclusion, headline
from verifier.model.verdict import Coverage, ExitCode, Outcome, RunResult, Verdict
from verifier.render.audit import summary

FORMAT = "openim-ssot-verifier/run"
VERSION = 1


class _Document(BaseModel):
    # The schema allows further fields, so that today's reader accepts tomorrow's document of the same version.
    model_config = ConfigDict(frozen=True)


class CoverageDocument(_Document):
    """What was looked at."""

    seen: int = Field(description="how many things were looked at")
    total: int | None = Field(description="of how many; null = unknown")
    unit: str
    text: str = Field(description="what numbers do not say")
    unseen: list[str] = Field(description="what this technique cannot see here")


class FindingDocument(_Document):
    """One concrete breach."""

    fingerprint: str = Field(description="stable from run to run; names the finding for recheck")
    key: str = Field(description="the record, redacted where its column is sensitive")
    summary: str
    expected: str
    actual: str
    evidence: dict[str, str]
    first_seen_at: datetime = Field(description="time of the first look")
    confirmed_at: datetime = Field(description="time of the second look")
    recheck_command: str
    next_step: str
    state: Literal["new", "persisting", "healed"] | None = Field(
        default=None, description="against the run before, where a history knows it"
    )


class HealedDocument(_Document):
    """A finding of an earlier run that this run looked for and did not find any more."""

    fingerprint: str
    check_id: str
    key: str
    summary: str
    first_seen_at: datetime
    healed_at: datetime | None


class CheckDocument(_Document):
    """One invariant's verdict."""

    id: str
    title: str
    severity: Severity
    verdict: Verdict
    pending: bool = Field(default=False, description="new since the last accepted list; not counted in the exit code")
    reason: str = Field(description="why this verdict; empty where the coverage says it")
    coverage: list[CoverageDocument]
    coverage_text: str
    notes: list[str]
    queries: list[str]
    findings_total: int = Field(description="may exceed the number of findings listed")
    findings: list[FindingDocument]
    started_at: datetime
    ended_at: datetime
    duration_s: float


class FootprintDocument(_Document):
    """One store's part of a run."""

    sent: int = Field(description="statements, commands and requests")
    refused: int = Field(description="kept from going out by the allow-list")
    rows: int = Field(description="rows, documents, keys or records that came back")
    time_s: float = Field(description="how long answers took, in all")
    in_flight_max: int = Field(description="how many at once, at most")
    waited_s: float = Field(description="how long statements were held back by the budget")
    rests: int = Field(description="how often the store was left alone because it had become slow")


class RunDocument(_Document):
    """One run of the verifier."""

    format: Literal["openim-ssot-verifier/run"]
    version: Literal[1]
    run_id: str
    stack: str
    phase: str
    started_at: datetime
    ended_at: datetime
    duration_s: float
    interrupted: bool
    exit_code: int
    exit_meaning: str
    conclusion: str = Field(description="one sentence")
    headline: str = Field(description="the counts, in words")
    counts: dict[Verdict, int] = Field(description="checks by verdict; every verdict is there")
    notes: list[str]
    reads: dict[str, int] = Field(description="what was sent to each store: statements, commands, requests")
    healed: list[HealedDocument] = Field(default_factory=list, description="findings that this run found gone")
    footprint: dict[str, FootprintDocument] = Field(
        default_factory=dict, description="what each store was asked in this run; --audit has it statement by statement"
    )
    checks: list[CheckDocument]


def to_json(
    result: RunResult,
    *,
    exit_code: ExitCode | None = None,
    known: Mapping[str, StoredFinding] | None = None,
    healed: Sequence[StoredFinding] = (),
) -> dict[str, Any]:
    """The run as a JSON object (see `json_schema`); `exit_code` is what the process returns, if options changed it.

    `known` is what the history remembers of the findings, by fingerprint; `healed` are those that are gone.
    """
    result = clean_result(result)
    code = result.exit_code() if exit_code is None else exit_code
    document = RunDocument(
        format=FORMAT,
        version=VERSION,
        run_id=result.run_id,
        stack=result.stack,
        phase=result.phase,
        started_at=result.started_at,
        ended_at=result.ended_at,
        duration_s=(result.ended_at - result.started_at).total_seconds(),
        interrupted=result.interrupted,
        exit_code=code.value,
        exit_meaning=EXIT_MEANING[code],
        conclusion=conclusion(result),
        headline=headline(result),
        counts={verdict: result.count(verdict) for verdict in Verdict},
        notes=list(result.notes),
        reads=result.reads,
        footprint={store: FootprintDocument(**summary(item)) for store, item in result.footprints.items()},
        healed=[_healed(item) for item in healed],
        checks=[_check(outcome, known or {}) for outcome in result.outcomes],
    )
    return document.model_dump(mode="json")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of what `to_json` returns."""
    return RunDocument.model_json_schema(mode="serialization")


def _healed(item: StoredFinding) -> HealedDocument:
    finding = clean_finding(item.finding)
    return HealedDocument(
        fingerprint=item.fingerprint,
        check_id=item.check_id,
        key=finding.key,
        summary=finding.summary,
        first_seen_at=item.first_seen_at,
        healed_at=item.healed_at,
    )


def _check(outcome: Outcome, known: Mapping[str, StoredFinding]) -> CheckDocument:
    judgement = outcome.judgement
    return CheckDocument(
        id=outcome.check_id,
        title=outcome.title,
        severity=outcome.severity,
        verdict=outcome.verdict,
        pending=outcome.pending,
        reason=judgement.reason,
        coverage=[_coverage(item) for item in judgement.coverage],
        coverage_text=outcome.coverage_text,
        notes=list(judgement.notes),
        queries=list(judgement.queries),
        findings_total=max(judgement.findings_total, len(judgement.findings)),
        findings=[_finding(item, known.get(item.fingerprint)) for item in judgement.findings],
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
        duration_s=outcome.duration_s,
    )


def _coverage(coverage: Coverage) -> CoverageDocument:
    return CoverageDocument(
        seen=coverage.seen, total=coverage.total, unit=coverage.unit, text=coverage.text, unseen=list(coverage.unseen)
    )


def _finding(finding: Finding, known: StoredFinding | None) -> FindingDocument:
    return FindingDocument(
        fingerprint=finding.fingerprint,
        key=finding.key,
        summary=finding.summary,
        expected=finding.expected,
        actual=finding.actual,
        evidence=dict(finding.evidence),
        first_seen_at=finding.first_seen_at,
        confirmed_at=finding.confirmed_at,
        recheck_command=finding.recheck_command,
        next_step=finding.next_step,
        state=known.state.value if known else None,
    )
