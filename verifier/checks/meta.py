"""The verifier's own footprint."""

from __future__ import annotations

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.model.text import duration_text
from verifier.profile.models import Profile
from verifier.proofs import Rule


@check(
    "META-01",
    title="The verifier itself only read, within its budgets, and its runs are fresh",
    severity=Severity.CRITICAL,
    phase=Phase.BASELINE,
    row="The verifier",
    last=True,
)
def footprint(profile: Profile) -> Rule:
    """What watches over a stack must neither change it nor burden it, and must not have been asleep: every statement is counted, every refusal is told."""
    max_age_s = profile.timing.run_max_age_s

    def judge(row: Row) -> Problem | None:
        return _wrote(row) or _burdened(row) or _slept(row, max_age_s)

    return Rule(
        subject=Rows("verifier.statements"),
        judge=judge,
        unit="stores",
        applies=lambda row: row["age_s"] is None or max_age_s is not None,
        statement="every statement passed an allow-list; none of them writes; budgets kept"
        + ("" if max_age_s is None else "; the run before is fresh"),
    )


def _wrote(row: Row) -> Problem | None:
    if not row["refused"] and not row["writes"]:
        return None
    wrote = f"{row['role']} was sent {row['writes'][0]!r}" if row["writes"] else ""
    refused = f"the allow-list of {row['role']} refused {row['refused']} statement(s) of this run"
    return Problem(
        key=str(row["role"]),
        summary=wrote or refused,
        expected="no statement that could write",
        actual=f"{row['refused']} refused, {row['sent']} sent"
        + (f", {len(row['writes'])} of them write" if wrote else ""),
        next_step="The refused statement is quoted by the check that is inconclusive; correct the profile or the check.",
    )


def _burdened(row: Row) -> Problem | None:
    if not row["over"]:
        return None
    return Problem(
        key=str(row["role"]),
        summary=f"{row['role']} was asked for more than its budget allows",
        expected=f"the budget of budgets.{row['role']} is kept",
        actual=str(row["over"]),
        next_step="This is a fault of the verifier; please report it, with the output of --audit.",
    )


def _slept(row: Row, max_age_s: float | None) -> Problem | None:
    if row["age_s"] is None or max_age_s is None or row["age_s"] <= max_age_s:
        return None
    return Problem(
        key=str(row["role"]),
        summary="the run before this one is too old: nobody watched in between",
        expected=f"a finished run within {duration_text(max_age_s)} (timing.run_max_age_s)",
        actual=f"the last one ended {duration_text(row['age_s'])} ago",
        next_step="Look why the nightly job did not run; the next run is fresh again.",
    )
