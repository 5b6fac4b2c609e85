"""The terminal output, with and without a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.verifier.render.samples import BACKDATED, healthy_result, mixed_result, stored_finding
from verifier.history.records import FindingState
from verifier.model.events import CheckFinished, CheckStarted, Event, FindingFound, Progress, RunFinished, RunStarted
from verifier.model.invariant import Severity
from verifier.model.verdict import RunResult
from verifier.render.terminal import TerminalRenderer


def events(result: RunResult) -> Iterator[Event]:
    """The events of the engine for this result."""
    ids = tuple(item.check_id for item in result.outcomes)
    yield RunStarted(run_id=result.run_id, stack=result.stack, phase=result.phase, at=result.started_at, check_ids=ids)
    for outcome in result.outcomes:
        yield CheckStarted(check_id=outcome.check_id, title=outcome.title)
    for outcome in result.outcomes:
        yield Progress(check_id=outcome.check_id, done=0, total=None, unit="waiting: [red]settle window[/red]")
        yield Progress(check_id=outcome.check_id, done=5, total=10, unit="users")
        for finding in outcome.judgement.findings:
            yield FindingFound(finding=finding)
        yield CheckFinished(outcome=outcome)
    yield RunFinished(result=result)


def shown(result: RunResult, *, width: int = 80, terminal: bool = False, **options: object) -> str:
    """The whole output."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None, legacy_windows=False)
    with TerminalRenderer(console, **options) as renderer:  # type: ignore[arg-type]
        for event in events(result):
            renderer.handle(event)
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 119, 120, 160])
def test_the_summary_fits_and_is_complete(width: int) -> None:
    """No line is wider than the terminal. Every check, its verdict and the reason are shown."""
    text = shown(mixed_result(), width=width)
    summary = text[text.index("verdict  ") :]
    assert max(cell_len(line) for line in summary.splitlines()) <= width
    words = " ".join(summary.split())
    for outcome in mixed_result().outcomes:
        assert outcome.check_id in words
    for said in ("✗ violated", "? inconclusive", "✓ holds", "~ waived", "– not applicable"):
        assert said in words
    for said in ("not visible", "rabbitmq-plugins enable", "canary off: the profile has no [canary]"):
        assert said in words
    assert "exit code 1: something is violated" in words


def test_a_finding_shows_all_details() -> None:
    """What, where, expected, actual, evidence, both passes, the recheck command and the next step."""
    words = " ".join(shown(mixed_result(), width=160).split())
    for said in (
        "where chat.messages _id = 6741f0c2e7b1a2d3c4e5f607",
        "expected no insert since",
        "actual inserted between",
        "counter inserts 18 204 -> 18 205",
        "seen 2026-11-23 02:17:03 UTC, again 02:17:09.500",
        f"recheck verifier recheck {BACKDATED.fingerprint}",
        "next Find the writer",
    ):
        assert said in words


def test_few_findings_are_shown_and_the_others_counted() -> None:
    """Three per check, and how many more. `verbose` shows all listed findings, including waived ones."""
    short, long = shown(mixed_result()), shown(mixed_result(), verbose=True)
    assert "and 13 more (see the report)" in short
    assert "and 12 more (see the report)" in long
    assert "presence:u-17" not in short
    assert "presence:u-17" in long
    assert "3.00" not in short


def test_without_a_terminal_each_check_is_one_line() -> None:
    """Plain lines, not wrapped, without escape sequences."""
    text = shown(mixed_result())
    lines = [line for line in text.splitlines() if line.startswith("[")]
    assert len(lines) == len(mixed_result().outcomes)
    assert lines[0].startswith("[ 1/16] ✗ violated       MSG-01")
    assert "\x1b" not in text
    assert "\r" not in text


def test_the_live_display_restores_the_cursor() -> None:
    """The live display is removed and the cursor shown again, also after an exception."""
    text = shown(mixed_result(), terminal=True)
    assert text.count("\x1b[?25h") >= 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)

    def break_off() -> None:
        with TerminalRenderer(console) as renderer:
            for event in list(events(mixed_result()))[:20]:
                renderer.handle(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize("terminal", [False, True])
def test_markup_and_escape_sequences_are_text(terminal: bool) -> None:
    """Markup is not interpreted, escape sequences are escaped."""
    text = shown(mixed_result(), width=160, terminal=terminal)
    assert "[bold]not markup[/bold] \\x1b[31mred\\u202e" in text
    assert "\x1b[31mred" not in text


def test_findings_are_new_or_since_a_date() -> None:
    """A finding that an earlier run found shows since when."""
    stored = stored_finding()
    known = {BACKDATED.fingerprint: stored}
    assert "in 4 runs since 2026-11-20 02:17:00 UTC" in shown(mixed_result(), width=160, known=known.get)
    known = {BACKDATED.fingerprint: replace(stored, state=FindingState.NEW)}
    assert "new in this run" in shown(mixed_result(), width=160, known=known.get)


def test_the_exit_code_follows_the_options() -> None:
    """`--fail-on` and accepted inconclusive checks change it; accepted checks are named."""
    result = mixed_result()
    mild = shown(result, width=160, fail_on=frozenset({Severity.INFO}), accepted=frozenset({"MQ-01"}))
    assert "exit code 0" in mild
    assert "accepted as inconclusive by the profile: MQ-01" in mild
    assert "exit code 130: interrupted" in shown(replace(result, interrupted=True))
    assert "exit code 0: everything applicable holds" in shown(healthy_result())


def test_a_run_without_checks_says_so() -> None:
    """There is no table, and it does not look green."""
    text = shown(replace(mixed_result(), outcomes=(), notes=()))
    assert "nothing was judged" in text
    assert "invariant, and" not in text


def test_an_encoding_without_unicode_gets_plain_marks() -> None:
    """Symbols are replaced instead of raising."""
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=80)
    renderer = TerminalRenderer(console)
    for event in events(mixed_result()):
        renderer.handle(event)
    console.file.flush()
    text = raw.getvalue().decode("ascii")
    assert "x violated" in text
    assert "+ holds" in text
