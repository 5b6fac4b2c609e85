"""Pending checks: a check that came with an upgrade does not count in the exit code until it is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from verifier.engine.plan import Plan


class AcceptedChecks(Protocol):
    """The list of accepted checks of a stack; implemented by the history."""

    def accepted(self) -> frozenset[str]:
        """IDs of the accepted checks; empty before the first run of a stack."""

    def accept(self, check_ids: Iterable[str]) -> tuple[str, ...]:
        """Accept these checks; return those that were not accepted before."""

    def judged_ever(self) -> frozenset[str]:
        """IDs of the checks that any stored run has judged."""


def with_pending(plan: Plan, history: AcceptedChecks, policy: str) -> Plan:
    """The plan with its pending checks marked (policy `report`) or named in a note (policy `fail`).

    The first run of a stack accepts all known checks. A history without a list of accepted checks (from an older version)
    accepts the checks that it has judged, or all if it has judged less than half of them (`--only`).
    """
    accepted = history.accepted()
    if not accepted and not plan.what_if:
        judged = history.judged_ever()
        history.accept(judged if len(judged) * 2 > len(plan.known) else plan.known)
        accepted = history.accepted()
    new = frozenset(item.id for item in plan.checks) - accepted if accepted else frozenset[str]()
    if not new:
        return plan
    names = ", ".join(sorted(new))
    if policy == "fail":
        return replace(
            plan,
            notes=(
                *plan.notes,
                f"new checks, not accepted yet; they count in the exit code (pending = 'fail'): {names}",
            ),
        )
    note = f"pending: {names} came with an upgrade and do not count in the exit code; accept with: verifier accept {' '.join(sorted(new))}"
    return replace(plan, pending=new, notes=(*plan.notes, note))
