"""Which checks a stack has accepted: one that came with an upgrade is pending until somebody says that it may fail the pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from verifier.engine.plan import Plan


class AcceptedChecks(Protocol):
    """Where the list is kept; the history implements it."""

    def accepted(self) -> frozenset[str]:
        """The accepted checks; empty before the first run of a stack."""

    def accept(self, check_ids: Iterable[str]) -> tuple[str, ...]:
        """Accept these checks; returns those that were not accepted before."""

    def judged_ever(self) -> frozenset[str]:
        """The checks that any remembered run has judged."""


def with_pending(plan: Plan, history: AcceptedChecks, policy: str) -> Plan:
    """The plan with its pending checks marked (`pending = "report"`), or noted (`"fail"`).

    The first run of a stack accepts every check that there is; a history from before such lists, every check that it has judged,
    unless it has judged a few alone (`--only`).
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
            plan, notes=(*plan.notes, f"new checks, not accepted yet, and counted (pending = 'fail'): {names}")
        )
    note = f"pending: {names} came with an upgrade and do not count in the exit code; accept them with: verifier accept {' '.join(sorted(new))}"
    return replace(plan, pending=new, notes=(*plan.notes, note))
