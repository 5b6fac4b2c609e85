"""`history`: earlier runs and stored findings."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from verifier.engine.session import open_history
from verifier.history import FindingState, History
from verifier.model.redact import clean_line
from verifier.model.verdict import Verdict
from verifier.profile import load_profile
from verifier.render.console import make_console


def print_history(profile_path: Path, *, findings: bool, limit: int) -> None:
    """Print earlier runs with their counts, or stored findings with their state."""
    profile = load_profile(profile_path)
    with open_history(profile) as history:
        table = _finding_table(history, limit) if findings else _run_table(history, limit)
    console = make_console()
    console.print(table if table.row_count else "the history is empty; next: verifier run")


def _run_table(history: History, limit: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "started", "phase", "kind", "state", "✗ ? ✓ –", "took"):
        table.add_column(heading, no_wrap=True)
    for run in history.runs(limit):
        counts = [
            str(run.count(verdict))
            for verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS, Verdict.NOT_APPLICABLE)
        ]
        started = run.started_at.strftime("%m-%d %H:%M:%S")
        table.add_row(
            run.run_id, started, run.phase, run.kind.value, run.state.value, " ".join(counts), f"{run.duration_s:.1f} s"
        )
    return table


def _finding_table(history: History, limit: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("fingerprint", "check", "state", "first seen", "seen", "what"):
        table.add_column(heading, overflow="fold")
    known = sorted(history.findings(), key=lambda item: (item.state is FindingState.HEALED, item.finding.check_id))
    for item in known[:limit]:
        first = item.first_seen_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(
            item.finding.fingerprint,
            item.finding.check_id,
            item.state.value,
            first,
            f"{item.times_seen}×",
            clean_line(item.finding.summary),
        )
    return table
