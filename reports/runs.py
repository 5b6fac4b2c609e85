"""A run of the verifier, written to and read from its JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from verifier.model.finding import Finding
from verifier.model.footprint import Footprint
from verifier.model.verdict import Coverage, ExitCode, Judgement, Outcome, RunResult
from verifier.render.json import CheckDocument, FindingDocument, RunDocument, to_json


def write_run(directory: Path, result: RunResult, code: ExitCode) -> Path:
    """Write a run as `verifier-RUN.json` and return the path. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"verifier-{result.run_id}.json"
    path.write_text(json.dumps(to_json(result, exit_code=code), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_run(raw: dict[str, Any]) -> tuple[RunResult, ExitCode]:
    """The run that `verifier run --json` wrote, and its exit code. Raises pydantic.ValidationError."""
    document = RunDocument.model_validate(raw)
    result = RunResult(
        run_id=document.run_id,
        stack=document.stack,
        phase=document.phase,
        started_at=document.started_at,
        ended_at=document.ended_at,
        outcomes=tuple(_outcome(item) for item in document.checks),
        notes=tuple(document.notes),
        interrupted=document.interrupted,
        reads=document.reads,
        footprints={store: Footprint(**item.model_dump()) for store, item in document.footprint.items()},
    )
    return result, ExitCode(document.exit_code)


def _outcome(document: CheckDocument) -> Outcome:
    return Outcome(
        check_id=document.id,
        title=document.title,
        severity=document.severity,
        judgement=Judgement(
            verdict=document.verdict,
            reason=document.reason,
            coverage=tuple(
                Coverage(item.seen, item.total, item.unit, item.text, tuple(item.unseen)) for item in document.coverage
            ),
            notes=tuple(document.notes),
            findings=tuple(_finding(document, item) for item in document.findings),
            findings_total=document.findings_total,
            queries=tuple(document.queries),
        ),
        started_at=document.started_at,
        ended_at=document.ended_at,
        pending=document.pending,
    )


def _finding(check: CheckDocument, document: FindingDocument) -> Finding:
    return Finding(
        check_id=check.id,
        severity=check.severity,
        key=document.key,
        raw_key="",
        summary=document.summary,
        expected=document.expected,
        actual=document.actual,
        next_step=document.next_step,
        evidence=document.evidence,
        fingerprint=document.fingerprint,
        first_seen_at=document.first_seen_at,
        confirmed_at=document.confirmed_at,
    )
