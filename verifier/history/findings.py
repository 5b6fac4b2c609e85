"""Updates the stored findings of a check within a transaction: new, persisting or healed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from verifier.history.codec import dump_finding, load_finding
from verifier.history.records import Changes, FindingState, StoredFinding
from verifier.history.tables import FINDINGS
from verifier.model.finding import Finding
from verifier.model.verdict import Judgement, Verdict

BATCH = 500

_JUDGED = frozenset({Verdict.HOLDS, Verdict.VIOLATED, Verdict.WAIVED})


def can_heal(judgement: Judgement) -> bool:
    """Whether stored findings that this judgement does not list have healed.

    They have not if the check was inconclusive, in whole or in part, or if it found more than it lists.
    """
    complete = judgement.findings_total <= len(judgement.findings) and not judgement.partial
    return judgement.verdict in _JUDGED and complete


def update_findings(
    connection: Connection, *, stack: str, run_id: str, check_id: str, judgement: Judgement, at: datetime
) -> Changes:
    """Update the stored findings of one check to its judgement; return what changed."""
    seen = {finding.fingerprint: finding for finding in judgement.findings}
    healing = can_heal(judgement)
    known = _known(connection, stack, check_id, None if healing else list(seen))
    states = {name: _next_state(known.get(name), run_id) for name in seen}
    healed = tuple(name for name, entry in known.items() if name not in seen and entry.state is not FindingState.HEALED)
    rows = [
        _row(finding, known.get(name), states[name], stack=stack, run_id=run_id, at=at)
        for name, finding in seen.items()
    ]
    _replace(connection, stack, rows)
    if healing:
        heal(connection, stack, healed, at)
    return Changes(
        new=tuple(name for name, state in states.items() if state is FindingState.NEW),
        persisting=tuple(name for name, state in states.items() if state is FindingState.PERSISTING),
        healed=healed if healing else (),
    )


def heal(connection: Connection, stack: str, fingerprints: Sequence[str], at: datetime) -> None:
    """Mark findings as healed."""
    if fingerprints:
        connection.execute(
            update(FINDINGS)
            .where(FINDINGS.c.stack == stack, FINDINGS.c.fingerprint == bindparam("name"))
            .values(state=FindingState.HEALED.value, healed_at=at),
            [{"name": name} for name in fingerprints],
        )


def stored(row: Row[Any]) -> StoredFinding:
    """Convert a row of the findings table to a record."""
    finding = load_finding(row.document, row.raw_key)
    return StoredFinding(
        fingerprint=row.fingerprint,
        check_id=row.check_id,
        severity=finding.severity,
        state=FindingState(row.state),
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        healed_at=row.healed_at,
        times_seen=row.times_seen,
        raw_key=row.raw_key,
        finding=finding,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    state: FindingState
    last_run_id: str
    times_seen: int
    first_seen_at: datetime


def _known(connection: Connection, stack: str, check_id: str, names: Sequence[str] | None) -> dict[str, _Known]:
    """The stored findings of a check by fingerprint; `names` limits them to these fingerprints."""
    columns = FINDINGS.c
    query = select(
        columns.fingerprint, columns.state, columns.last_run_id, columns.times_seen, columns.first_seen_at
    ).where(columns.stack == stack, columns.check_id == check_id)
    queries = [query]
    if names is not None:
        queries = [
            query.where(columns.fingerprint.in_(names[start : start + BATCH])) for start in range(0, len(names), BATCH)
        ]
    return {
        row.fingerprint: _Known(FindingState(row.state), row.last_run_id, row.times_seen, row.first_seen_at)
        for part in queries
        for row in connection.execute(part)
    }


def _next_state(known: _Known | None, run_id: str) -> FindingState:
    if known is None or known.state is FindingState.HEALED:
        return FindingState.NEW
    # A check that is committed twice in one run counts once.
    return known.state if known.last_run_id == run_id else FindingState.PERSISTING


def _row(
    finding: Finding, known: _Known | None, state: FindingState, *, stack: str, run_id: str, at: datetime
) -> dict[str, Any]:
    again = known is not None and known.last_run_id == run_id and known.state is not FindingState.HEALED
    return {
        "stack": stack,
        "fingerprint": finding.fingerprint,
        "check_id": finding.check_id,
        "state": state.value,
        "first_seen_at": known.first_seen_at if known else finding.first_seen_at,
        "last_seen_at": at,
        "healed_at": None,
        "times_seen": (known.times_seen if known else 0) + (0 if again else 1),
        "last_run_id": run_id,
        "raw_key": finding.raw_key,
        "document": dump_finding(finding),
    }


def _replace(connection: Connection, stack: str, rows: Sequence[dict[str, Any]]) -> None:
    names = [row["fingerprint"] for row in rows]
    for start in range(0, len(rows), BATCH):
        part = FINDINGS.c.fingerprint.in_(names[start : start + BATCH])
        connection.execute(delete(FINDINGS).where(FINDINGS.c.stack == stack, part))
        connection.execute(insert(FINDINGS), rows[start : start + BATCH])
