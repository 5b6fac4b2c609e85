"""Verify, read-only, that a chat platform which moved its messaging to OpenIM has a single source of truth.

This module is the public API. A custom check imports from here alone; load its file with `verifier run --checks FILE`:

    from verifier import Phase, Problem, Row, Rows, Rule, Severity, check

    @check("X-NICK", title="Nicknames have at most 64 characters", severity=Severity.INFO, phase=Phase.BASELINE, row="D5")
    def nickname_length(profile):
        \"\"\"The clients cut longer nicknames.\"\"\"

        def judge(row: Row) -> Problem | None:
            if len(row["nickname"] or "") <= 64:
                return None
            return Problem(summary="the nickname is too long", expected="at most 64", actual=str(len(row["nickname"])))

        return Rule(subject=Rows("users", ("nickname",)), judge=judge, unit="users")

`examples/custom_check.py` is a complete example. `run("stack.toml")` judges a stack from Python.

Names are imported on first use, because most commands need few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from verifier.model.version import __version__

if TYPE_CHECKING:
    from verifier.checks.registry import NotApplicable, check
    from verifier.engine.session import Pace, run
    from verifier.history.errors import HistoryError
    from verifier.model.events import Event
    from verifier.model.finding import Finding
    from verifier.model.invariant import Phase, Problem, Row, Severity
    from verifier.model.query import Rows, Where
    from verifier.model.verdict import Coverage, ExitCode, Judgement, Outcome, RunResult, Verdict
    from verifier.profile import Profile, ProfileError, load_profile
    from verifier.proofs import (
        Absence,
        Declared,
        Delivery,
        Histories,
        Inventory,
        Monotonic,
        Populated,
        Reconcile,
        Retention,
        Rule,
        Unique,
    )
    from verifier.proofs.reconcile import must_exist

__all__ = [
    "Absence",
    "Coverage",
    "Declared",
    "Delivery",
    "Event",
    "ExitCode",
    "Finding",
    "Histories",
    "HistoryError",
    "Inventory",
    "Judgement",
    "Monotonic",
    "NotApplicable",
    "Outcome",
    "Pace",
    "Phase",
    "Populated",
    "Problem",
    "Profile",
    "ProfileError",
    "Reconcile",
    "Retention",
    "Row",
    "Rows",
    "Rule",
    "RunResult",
    "Severity",
    "Unique",
    "Verdict",
    "Where",
    "__version__",
    "check",
    "load_profile",
    "must_exist",
    "run",
]

_NAMES = {
    "verifier.checks.registry": "NotApplicable check",
    "verifier.engine.session": "Pace run",
    "verifier.history.errors": "HistoryError",
    "verifier.model.events": "Event",
    "verifier.model.finding": "Finding",
    "verifier.model.invariant": "Phase Problem Row Severity",
    "verifier.model.query": "Rows Where",
    "verifier.model.verdict": "Coverage ExitCode Judgement Outcome RunResult Verdict",
    "verifier.profile": "Profile ProfileError load_profile",
    "verifier.proofs": "Absence Declared Delivery Histories Inventory Monotonic Populated Reconcile Retention Rule Unique",
    "verifier.proofs.reconcile": "must_exist",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
