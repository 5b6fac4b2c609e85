"""A finding: one concrete breach, with what a person needs to check it by hand and to act on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from verifier.model.invariant import Problem, Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A breach that the second pass confirmed.

    `key` identifies the record for display; sensitive columns are redacted. `raw_key` is what `recheck` needs, and only the
    history database stores it. `fingerprint` is a keyed hash of check and raw key that is stable from run to run.
    `first_seen_at` and `confirmed_at` are the times of the two passes.
    """

    check_id: str
    severity: Severity
    key: str
    raw_key: str = field(repr=False)
    summary: str
    expected: str
    actual: str
    next_step: str
    evidence: Mapping[str, str]
    fingerprint: str
    first_seen_at: datetime
    confirmed_at: datetime

    @property
    def recheck_command(self) -> str:
        """The command that checks this breach again."""
        return f"verifier recheck {self.fingerprint}"

    @classmethod
    def of(
        cls,
        problem: Problem,
        *,
        check_id: str,
        severity: Severity,
        key: str,
        raw_key: str,
        fingerprint: str,
        first_seen_at: datetime,
        confirmed_at: datetime,
        evidence: Mapping[str, str] | None = None,
    ) -> Finding:
        """Make a finding from a confirmed problem."""
        return cls(
            check_id=check_id,
            severity=severity,
            key=problem.key or key,
            raw_key=raw_key,
            summary=problem.summary,
            expected=problem.expected,
            actual=problem.actual,
            next_step=problem.next_step,
            evidence={**(evidence or {}), **problem.evidence},
            fingerprint=fingerprint,
            first_seen_at=first_seen_at,
            confirmed_at=confirmed_at,
        )
