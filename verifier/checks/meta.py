"""Row "The verifier" [D14]: it only reads, keeps its budgets, and runs often enough."""

from __future__ import annotations

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.model.text import duration_text
from verifier.profile.models import Profile
from verifier.proofs import Rule


@check(
    "META-01",
    title="The verifier only read, kept its budgets, and ran recently",
    severity=Severity.CRITICAL,
    phase=Phase.BASELINE,
    row="The verifier",
    last=True,
)
def footprint(profile: Profile) -> Rule:
    """The verifier must not change the stack, must not overload it, and must run as often as declared. Every statement is counted and every refused statement is reported."""
    max_age_s = profile.timing.run_max_age_s

    def judge(row: Row) -> Problem | None:
        return _wrote(row) or _over_budget(row) or _too_old(row, max_age_s)

    return Rule(
        subject=Rows("verifier.statements"),
        judge=judge,
        unit="stores",
        applies=lambda row: row["age_s"] is None or max_age_s is not None,
        statement="every statement passed an allow-list; none of them writes; budgets were kept"
        + ("" if max_age_s is None else "; the previous run is recent enough"),
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
        next_step="The inconclusive check quotes the refused statement. Correct the profile or the check.",
    )


def _over_budget(row: Row) -> Problem | None:
    if not row["over"]:
        return None
    return Problem(
        key=str(row["role"]),
        summary=f"{row['role']} was sent more than its budget allows",
        expected=f"at most the budget of budgets.{row['role']}",
        actual=str(row["over"]),
        next_step="This is a bug of the verifier. Please report it together with the output of --audit.",
    )


def _too_old(row: Row, max_age_s: float | None) -> Problem | None:
    if row["age_s"] is None or max_age_s is None or row["age_s"] <= max_age_s:
        return None
    return Problem(
        key=str(row["role"]),
        summary="the previous run is too old, so nothing was checked in between",
        expected=f"a finished run within {duration_text(max_age_s)} (timing.run_max_age_s)",
        actual=f"the previous run ended {duration_text(row['age_s'])} ago",
        next_step="Find out why the nightly job did not run. The next run in time clears this finding.",
    )
