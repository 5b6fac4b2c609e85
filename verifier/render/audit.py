"""The audit log: every statement, command and request that a run sent, normalised, as JSON lines."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any

from verifier.model.footprint import Footprint
from verifier.model.redact import clean_result
from verifier.model.verdict import RunResult

FORMAT = "openim-ssot-verifier/audit"
VERSION = 1


def to_audit(result: RunResult) -> str:
    """One line about the run, then for each store a summary and its statements, the most expensive first."""
    result = clean_result(result)
    lines: list[dict[str, Any]] = [
        {
            "format": FORMAT,
            "version": VERSION,
            "run_id": result.run_id,
            "stack": result.stack,
            "started_at": result.started_at,
            "ended_at": result.ended_at,
            "interrupted": result.interrupted,
        }
    ]
    for store, footprint in result.footprints.items():
        lines.append({"store": store, **summary(footprint)})
        lines += [{"store": store, **dataclasses.asdict(item)} for item in footprint.statements]
    return "".join(json.dumps(line, ensure_ascii=False, default=datetime.isoformat) + "\n" for line in lines)


def summary(footprint: Footprint) -> dict[str, Any]:
    """The counts of a store, without its statements."""
    return {
        field.name: getattr(footprint, field.name)
        for field in dataclasses.fields(footprint)
        if field.name != "statements"
    }
