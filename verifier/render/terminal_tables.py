"""The table of verdicts and the blocks of findings, for terminals of at least 60 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from verifier.history.records import FindingState, StoredFinding
from verifier.model.finding import Finding
from verifier.model.redact import clean_finding
from verifier.model.text import MARKS, ORDER, about, at_text, clock_text, duration_text, number, plural, ranked
from verifier.model.verdict import Outcome, RunResult, Verdict

WIDE = 120
"""From this width on, coverage has a separate column."""

Known = Callable[[str], StoredFinding | None]


def verdict_table(result: RunResult, console: Console, *, verbose: bool) -> RenderableType:
    """One row per check, the most urgent first. Unless `verbose`, checks that do not apply for the same reason share a row."""
    wide = console.width >= WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True, show_edge=False, padding=(0, 1))
    table.add_column("verdict", no_wrap=True)
    table.add_column("ID", no_wrap=True)
    if wide:
        table.add_column("invariant", ratio=2)
        table.add_column("coverage, or reason", ratio=3)
    else:
        table.add_column("invariant, and coverage or reason", ratio=1)
    if verbose:
        table.add_column("took", justify="right", no_wrap=True)
    outcomes = ranked(result.outcomes)
    for verdict in ORDER:
        rows = [item for item in outcomes if item.verdict is verdict]
        if not rows:
            continue
        if verdict is Verdict.NOT_APPLICABLE and not verbose:
            _add_not_applicable(table, rows, console, wide=wide)
        else:
            for outcome in rows:
                _add_row(table, outcome, console, wide=wide, verbose=verbose)
        table.add_section()
    return table


def _add_row(table: Table, outcome: Outcome, console: Console, *, wide: bool, verbose: bool) -> None:
    text = Text(about(outcome), style="" if wide else "dim")
    judgement = outcome.judgement
    if judgement.reason and outcome.coverage_text and (verbose or outcome.verdict is Verdict.HOLDS):
        text.append(f"; {outcome.coverage_text}")
    if judgement.findings_total:
        text = Text.assemble(
            (f"{number(judgement.findings_total)} {plural('finding', judgement.findings_total)}: ", "bold"), text
        )
    if verbose or outcome.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE):
        for note in judgement.notes:
            text.append(f"\nnote: {note}", style="dim italic")
    title = Text(outcome.title)
    mark = _mark(outcome.verdict, console)
    if outcome.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE):
        mark = Text.assemble(mark, (f"\n  {outcome.severity.label}", "dim"))
    cells: list[RenderableType] = [title, text] if wide else [Group(title, text)]
    if verbose:
        cells.append(Text(duration_text(outcome.duration_s), style="dim"))
    table.add_row(mark, Text(outcome.check_id, style="bold"), *cells)


def _add_not_applicable(table: Table, rows: list[Outcome], console: Console, *, wide: bool) -> None:
    reasons: dict[str, list[str]] = {}
    for outcome in rows:
        reasons.setdefault(outcome.judgement.reason or "no reason stated", []).append(outcome.check_id)
    for reason, ids in reasons.items():
        names = Text(", ".join(ids), style="bright_black")
        text = Text(reason)
        cells: list[RenderableType] = [names, text] if wide else [Group(text, names)]
        table.add_row(_mark(Verdict.NOT_APPLICABLE, console), Text(f"{len(ids)}×", style="bright_black"), *cells)


def _mark(verdict: Verdict, console: Console) -> Text:
    mark = MARKS[verdict]
    return Text(f"{mark.plain if console.options.ascii_only else mark.symbol} {mark.word}", style=mark.style)


def findings_blocks(
    result: RunResult, console: Console, *, known: Known, findings_max: int | None, waived: bool
) -> Iterator[RenderableType]:
    """A block per check with findings, the most urgent check first. Waived findings only if `waived`."""
    for outcome in ranked(result.outcomes):
        findings = outcome.judgement.findings
        if not findings or (outcome.verdict is Verdict.WAIVED and not waived):
            continue
        shown = findings[:findings_max]
        total = max(outcome.judgement.findings_total, len(findings))
        heading = Text.assemble(
            _mark(outcome.verdict, console),
            "  ",
            (outcome.check_id, "bold"),
            (f"  {outcome.severity.label} · {number(total)} {plural('finding', total)}", "dim"),
        )
        # Text that all findings share is printed once.
        summary, next_step = _common(shown, "summary"), _common(shown, "next_step")
        parts: list[RenderableType] = [heading, Text(outcome.title)]
        if summary and len(shown) > 1:
            parts.append(Padding(Text(summary), (1, 0, 0, 2)))
        parts += [
            Padding(
                _block(item, known(item.fingerprint), alone=len(shown) == 1, summary=summary, next_step=next_step),
                (1, 0, 0, 2),
            )
            for item in shown
        ]
        if next_step and len(shown) > 1:
            parts.append(Padding(Text.assemble(("next  ", "dim"), next_step), (1, 0, 0, 2)))
        if total > len(shown):
            more = f"and {number(total - len(shown))} more (see the report)"
            parts.append(Padding(Text(more, style="dim"), (1, 0, 0, 2)))
        yield Group(*parts)


def _common(findings: Sequence[Finding], name: str) -> str:
    values = {getattr(finding, name) for finding in findings}
    return str(values.pop()) if len(values) == 1 else ""


def _block(
    finding: Finding, known: StoredFinding | None, *, alone: bool, summary: str, next_step: str
) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("where", Text(finding.key, style="bold"))
    if alone or not summary:
        grid.add_row("what", Text(finding.summary))
    grid.add_row("expected", Text(finding.expected))
    grid.add_row("actual", Text(finding.actual))
    for name, value in finding.evidence.items():
        grid.add_row(Text(name), Text(value))
    grid.add_row("seen", Text(_seen(finding, known)))
    grid.add_row("recheck", Text(finding.recheck_command, style="cyan"))
    if finding.next_step and (alone or not next_step):
        grid.add_row("next", Text(finding.next_step))
    return grid


def _seen(finding: Finding, known: StoredFinding | None) -> str:
    seen = f"{at_text(finding.first_seen_at)}, again {clock_text(finding.confirmed_at)}"
    if known is None:
        return seen
    if known.state is FindingState.NEW:
        return f"{seen} · new in this run"
    return f"{seen} · in {known.times_seen} runs since {at_text(known.first_seen_at)}"


def healed_block(healed: Sequence[StoredFinding], console: Console, *, shown_max: int | None) -> RenderableType:
    """One line per healed finding."""
    parts: list[RenderableType] = [
        Text.assemble(("healed", "green bold"), (f"  {number(len(healed))} {plural('finding', len(healed))}", "dim"))
    ]
    for item in healed[:shown_max]:
        finding = clean_finding(item.finding)
        line = Text.assemble((item.check_id, "bold"), "  ", finding.key, ("  " + finding.summary, "dim"))
        parts.append(Padding(line, (0, 0, 0, 2)))
    if shown_max is not None and len(healed) > shown_max:
        parts.append(Padding(Text(f"and {number(len(healed) - shown_max)} more", style="dim"), (0, 0, 0, 2)))
    return Group(*parts)
