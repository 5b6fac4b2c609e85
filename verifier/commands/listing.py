"""`list`: the registered invariants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import Check, NotApplicable
from verifier.engine.plan import make_plan
from verifier.profile import NotMapped, Profile, load_profile
from verifier.render.console import make_console


def print_checks(profile_path: Path | None, files: Sequence[Path]) -> None:
    """Print one line per check; with a profile, also whether the check applies to that stack."""
    registry = load_checks(files)
    profile = load_profile(profile_path) if profile_path else None
    plan = make_plan(registry, profile) if profile else None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("ID", "severity", "from", "statement", *(("on this stack",) if plan else ())):
        table.add_column(heading, overflow="fold")
    for item in sorted(registry, key=lambda entry: entry.id):
        cells = [item.id, item.severity.label, item.phase.code, item.title]
        if profile and plan:
            cells.append(_applies(item, profile, plan.why_not(item)))
        table.add_row(*cells)
    make_console().print(table)


def _applies(item: Check, profile: Profile, why_not: str | None) -> str:
    if why_not:
        return why_not
    try:
        item.proofs(profile)
    except (NotMapped, NotApplicable) as reason:
        return str(reason)
    return "applies"
