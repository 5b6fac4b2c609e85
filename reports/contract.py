"""The section of the contract suite: how far an OpenIM server agrees with the recordings.

One line for each REST flow and each WebSocket session. A difference that is not declared is a finding.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from reports.models.contract import ContractDocument, DifferenceDocument, RowDocument
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import Coverage, Judgement, Outcome, RunResult, Verdict

_MAX_FINDINGS = 20
_RECHECK = "python -m suites.contract.openim"


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement(Finding):
    """One case in which the server differs from the recording."""

    @property
    def recheck_command(self) -> str:
        """The command that compares again."""
        return _RECHECK


def to_result(document: ContractDocument) -> RunResult:
    """The rows as a run: each flow or session is a check."""
    return RunResult(
        run_id=hashlib.sha256(document.started_at.isoformat().encode()).hexdigest()[:12],
        stack=document.server,
        phase="contract",
        started_at=document.started_at,
        ended_at=document.ended_at,
        outcomes=tuple(_outcome(document, row) for row in document.rows),
    )


def _outcome(document: ContractDocument, row: RowDocument) -> Outcome:
    wrong = [one for one in row.differences if not one.reason]
    judgement = Judgement(
        verdict=Verdict.VIOLATED if wrong or row.healed else Verdict.HOLDS,
        coverage=(Coverage(seen=row.equal, total=row.cases, unit="cases as recorded"),),
        notes=tuple(
            [f"deviates as declared ({one.reason}): {one.told}" for one in row.differences if one.reason]
            + [f"declared, but no longer occurs: {one.what}" for one in row.healed]
        ),
        findings=tuple(_finding(document, row, one) for one in wrong[:_MAX_FINDINGS]),
        findings_total=len(wrong),
    )
    return Outcome(
        check_id=f"{row.kind} {row.name}",
        title=f"{row.kind}: {row.name}",
        severity=Severity.HIGH,
        judgement=judgement,
        started_at=document.started_at,
        ended_at=document.ended_at,
    )


def _finding(document: ContractDocument, row: RowDocument, one: DifferenceDocument) -> Disagreement:
    case, _, what = one.told.partition(": ")
    return Disagreement(
        check_id=f"{row.kind} {row.name}",
        severity=Severity.HIGH,
        key=clean(case),
        raw_key="",
        summary=clean(what),
        expected="as recorded",
        actual=clean(what),
        next_step="",
        evidence={"server": document.server, "flow or session": row.name},
        fingerprint=hashlib.sha256(f"{row.name}:{one.told}".encode()).hexdigest()[:16],
        first_seen_at=document.started_at,
        confirmed_at=document.ended_at,
    )
