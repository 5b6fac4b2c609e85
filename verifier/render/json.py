"""The JSON report. Its format is versioned: within a version fields are added, never changed or removed."""

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
    # The schema allows unknown fields, so that a reader accepts later documents of the same version.
    model_config = ConfigDict(frozen=True)


class CoverageDocument(_Document):
    """What a check covered."""

    seen: int = Field(description="how many items were read")
    total: int | None = Field(description="how many items there are; null: unknown")
    unit: str
    text: str = Field(description="further information on the coverage")
    unseen: list[str] = Field(description="what this technique cannot see on this stack")


class FindingDocument(_Document):
    """One concrete breach."""

    fingerprint: str = Field(description="the same in every run; the argument of `verifier recheck`")
    key: str = Field(description="the record; redacted if its column is sensitive")
    summary: str
    expected: str
    actual: str
    evidence: dict[str, str]
    first_seen_at: datetime = Field(description="time of the first pass, which found the difference")
    confirmed_at: datetime = Field(description="time of the second pass, which confirmed it")
    recheck_command: str
    next_step: str
    state: Literal["new", "persisting", "healed"] | None = Field(
        default=None, description="compared with the run before; null without a history"
    )


class HealedDocument(_Document):
    """A finding of an earlier run that this run no longer found."""

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
    pending: bool = Field(
        default=False, description="not accepted yet (`verifier accept`); does not count in the exit code"
    )
    reason: str = Field(description="why the check has this verdict; empty if the coverage says it")
    coverage: list[CoverageDocument]
    coverage_text: str
    notes: list[str]
    queries: list[str]
    findings_total: int = Field(description="may be greater than the number of findings listed")
    findings: list[FindingDocument]
    started_at: datetime
    ended_at: datetime
    duration_s: float


class FootprintDocument(_Document):
    """What a run sent to one store."""

    sent: int = Field(description="statements, commands and requests")
    refused: int = Field(description="refused by the allow-list before they were sent")
    rows: int = Field(description="rows, documents, keys or records received")
    time_s: float = Field(description="total response time in seconds")
    in_flight_max: int = Field(description="largest number of concurrent statements")
    waited_s: float = Field(description="seconds that statements waited for the budget")
    # The key is older than the term back-off; the format keeps it.
    rests: int = Field(description="how often the verifier backed off because the store became slow")


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
    headline: str = Field(description="the counts as text")
    counts: dict[Verdict, int] = Field(description="number of checks by verdict; every verdict is present")
    notes: list[str]
    reads: dict[str, int] = Field(description="statements, commands and requests sent to each store")
    healed: list[HealedDocument] = Field(
        default_factory=list, description="findings of earlier runs that this run no longer found"
    )
    footprint: dict[str, FootprintDocument] = Field(
        default_factory=dict, description="load on each store in this run; --audit lists each statement"
    )
    checks: list[CheckDocument]


def to_json(
    result: RunResult,
    *,
    exit_code: ExitCode | None = None,
    known: Mapping[str, StoredFinding] | None = None,
    healed: Sequence[StoredFinding] = (),
) -> dict[str, Any]:
    """The run as a JSON object (see `json_schema`); `exit_code`: the exit code of the process, if options changed it.

    `known`: the stored findings by fingerprint. `healed`: findings that this run no longer found.
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
