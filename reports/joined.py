"""The joined report: verifier, suites and load tests in one HTML file, made from their JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from load.results import CAPACITY, COMPARISON
from reports import contract, scorecards, suites
from reports.capacities import read_capacity, read_comparison
from reports.loads import read_load
from reports.models.contract import FORMAT as CONTRACT
from reports.models.contract import ContractDocument
from reports.models.scorecard import FORMAT as SCORECARD
from reports.models.scorecard import ScorecardDocument
from reports.models.suites import FORMAT as SUITES
from reports.models.suites import SuitesDocument
from reports.runs import read_run
from verifier.model.verdict import ExitCode
from verifier.render.html import ReportSection, render_html
from verifier.render.json import FORMAT as RUN

OUT_DIR = Path("reports/out")
TITLE = "One source of truth"
_RECOGNISED = (
    "a run (verifier run --json), suites.json or contract.json (pytest --report), scorecard.json, or a result of a load test "
    "(load-….json, capacity-….json, compare-….json)"
)

# The headline is about the worst section, in this order.
_URGENCY = (
    ExitCode.VIOLATED,
    ExitCode.INTERNAL,
    ExitCode.INTERRUPTED,
    ExitCode.INCONCLUSIVE,
    ExitCode.USAGE,
    ExitCode.UNDELIVERED,
    ExitCode.HOLDS,
)


class ReportError(Exception):
    """A part cannot be used. The text says which, why, and what would be right."""


def write_joined(parts: Sequence[Path], output: Path, *, title: str = TITLE) -> None:
    """Read the parts and write one self-contained HTML file. Raises ReportError (a part) and OSError (the output)."""
    sections = [read_part(path) for path in parts]
    worst = min(sections, key=lambda section: _URGENCY.index(_exit_code(section)), default=None)
    text = render_html(sections, title=title, headline_of=worst)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8", errors="backslashreplace")


def _exit_code(section: ReportSection) -> ExitCode:
    return section.result.exit_code() if section.exit_code is None else section.exit_code


def read_part(path: Path) -> ReportSection:
    """One file as a section. Its content decides what it is. Raises ReportError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReportError(f"there is no {path}. Expected: {_RECOGNISED}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}.") from None
    except json.JSONDecodeError as error:
        raise ReportError(f"{path} is not JSON ({error}). Was it written completely?") from None
    try:
        return _section(raw)
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        fault = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}" if first else str(error)
        raise ReportError(f"{path} is not a part of a report ({fault}). Expected: {_RECOGNISED}.") from None


def _section(raw: Any) -> ReportSection:
    kind = raw.get("format") if isinstance(raw, dict) else None
    if kind == RUN:
        result, code = read_run(raw)
        return ReportSection(heading=f"Verifier: {result.stack}, phase {result.phase}", result=result, exit_code=code)
    if kind == SUITES:
        result = suites.to_result(SuitesDocument.model_validate(raw))
        return ReportSection(heading=f"Suites: {result.stack}", result=result)
    if kind == CONTRACT:
        result = contract.to_result(ContractDocument.model_validate(raw))
        return ReportSection(heading=f"OpenIM contract: {result.stack}", result=result)
    if kind == SCORECARD:
        result = scorecards.to_result(ScorecardDocument.model_validate(raw))
        return ReportSection(heading="Scorecard", result=result)
    if kind == CAPACITY:
        return read_capacity(raw)
    if kind == COMPARISON:
        return read_comparison(raw)
    if kind == 1:
        return read_load(raw)
    raise ValueError("unknown format")


def newest_parts(directory: Path) -> list[Path]:
    """The newest file of each kind in a directory, in the order of the report."""
    found = []
    for pattern in (
        "verifier*.json",
        "suites.json",
        "contract*.json",
        "scorecard*.json",
        "load-*.json",
        "capacity-*.json",
        "compare-*.json",
    ):
        candidates = sorted(directory.glob(pattern), key=lambda path: path.stat().st_mtime)
        found += candidates[-1:]
    return found
