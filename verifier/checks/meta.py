"""The verifier's own footprint."""

from __future__ import annotations

from verifier.check import check
from verifier.model import Phase, Problem, Row, Severity
from verifier.profile.models import Profile
from verifier.proofs import Rule
from verifier.query import Rows


@check(
    "META-01",
    title="The verifier itself only read",
    severity=Severity.CRITICAL,
    phase=Phase.BASELINE,
    row="The verifier",
    last=True,
)
def footprint(profile: Profile) -> Rule:
    """What watches over a stack must not be the thing that changes it: every statement is counted, every refusal is told."""

    def judge(row: Row) -> Problem | None:
        if not row["refused"]:
            return None
        return Problem(
            key=str(row["role"]),
            summary=f"the allow-list of {row['role']} refused {row['refused']} statement(s) of this run",
            expected="no statement that could write",
            actual=f"{row['refused']} refused, {row['sent']} sent",
            next_step="The refused statement is quoted by the check that is inconclusive; correct the profile or the check.",
        )

    return Rule(
        subject=Rows("verifier.ledger"), judge=judge, unit="stores", statement="every statement passed an allow-list"
    )
