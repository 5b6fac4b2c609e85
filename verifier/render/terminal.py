"""The terminal output: progress during the run, then the table of verdicts, the findings and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from verifier.history.records import StoredFinding
from verifier.model.events import (
    CheckFinished,
    CheckStarted,
    Event,
    FindingFound,
    Paused,
    Progress,
    Resumed,
    RunFinished,
    RunStarted,
)
from verifier.model.invariant import Severity
from verifier.model.redact import clean, clean_outcome, clean_result
from verifier.model.text import EXIT_MEANING, MARKS, about, duration_text, headline, number, phase_text, plural
from verifier.model.verdict import ExitCode, Outcome, RunResult, Verdict
from verifier.render.console import replace_unknown_characters
from verifier.render.terminal_progress import LiveProgress
from verifier.render.terminal_tables import findings_blocks, healed_block, verdict_table

FINDINGS_MAX = 3
"""Findings shown per check; the HTML report has more."""


class TerminalRenderer:
    """Prints the events of a run: `with TerminalRenderer(console) as renderer: renderer.handle(event)`.

    `known` looks up a fingerprint in the history, for "new in this run" and "in 4 runs since …". `healed` returns the
    findings that the run no longer found. `fail_on` and `accepted` determine the exit code (see `RunResult.exit_code`).
    Without `shows_result` the end of the run prints nothing: call `show` when the reports are written.
    """

    def __init__(
        self,
        console: Console,
        *,
        verbose: bool = False,
        known: Callable[[str], StoredFinding | None] = lambda fingerprint: None,
        fail_on: frozenset[Severity] = frozenset(Severity),
        accepted: frozenset[str] = frozenset(),
        findings_max: int = FINDINGS_MAX,
        healed: Callable[[RunResult], Sequence[StoredFinding]] = lambda result: (),
        shows_result: bool = True,
    ) -> None:
        replace_unknown_characters(console)
        self._console = console
        self._verbose = verbose
        self._known = known
        self._fail_on = fail_on
        self._accepted = accepted
        self._findings_max = findings_max
        self._healed = healed
        self._shows_result = shows_result
        self._live = LiveProgress(console) if console.is_terminal else None
        self._done = 0
        self._checks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the live display and show the cursor again."""
        if self._live:
            self._live.stop()

    def handle(self, event: Event) -> None:
        """Print an event."""
        match event:
            case RunStarted():
                self._run_started(event)
            case CheckStarted(check_id=check_id, title=title):
                if self._live:
                    self._live.check_started(check_id, clean(title))
            case Progress(check_id=check_id, done=done, total=total, unit=unit):
                if self._live:
                    self._live.progress(check_id, done, total, clean(unit))
            case Paused(path=path):
                self._console.print(Text(f"paused: {clean(path)} exists; remove it to continue", style="yellow"))
            case Resumed(path=path, after_s=after_s):
                self._console.print(
                    Text(
                        f"continuing after a pause of {duration_text(after_s)}: {clean(path)} was removed",
                        style="yellow",
                    )
                )
            case FindingFound(finding=finding):
                if self._live:
                    self._live.found(finding.check_id)
            case CheckFinished(outcome=outcome):
                self._check_finished(clean_outcome(outcome))
            case RunFinished(result=result):
                self._run_finished(result)

    def _run_finished(self, result: RunResult) -> None:
        self.close()
        if self._shows_result:
            self.show(result)

    def show(self, result: RunResult, code: ExitCode | None = None) -> None:
        """Print a whole result, also one loaded from the history. `code`: the exit code, if it is not that of the verdicts."""
        code = result.exit_code(self._fail_on, self._accepted) if code is None else code
        result = clean_result(result)
        console = self._console
        if result.outcomes:
            console.print()
            console.print(verdict_table(result, console, verbose=self._verbose))
        shown_max = None if self._verbose else self._findings_max
        for block in findings_blocks(result, console, known=self._known, findings_max=shown_max, waived=self._verbose):
            console.print()
            console.print(block)
        healed = list(self._healed(result))
        if healed:
            console.print()
            console.print(healed_block(healed, console, shown_max=shown_max))
        if result.notes:
            console.print()
            for note in result.notes:
                console.print(Text.assemble(("note  ", "cyan"), note))
        console.print()
        self._print_headline(result, healed, code)

    def _run_started(self, event: RunStarted) -> None:
        self._checks = len(event.check_ids)
        line = Text.assemble(
            ("verifier", "bold"),
            f"  {clean(event.stack)}, phase {phase_text(clean(event.phase))}: ",
            f"{self._checks} {plural('check', self._checks)}",
        )
        self._console.print(line)
        if self._live:
            self._live.start(self._checks)

    def _check_finished(self, outcome: Outcome) -> None:
        self._done += 1
        if self._live:
            self._live.check_finished(outcome)
            return
        mark = MARKS[outcome.verdict]
        symbol = mark.plain if self._console.options.ascii_only else mark.symbol
        count = outcome.judgement.findings_total
        findings = f" · {number(count)} {plural('finding', count)}" if count else ""
        self._console.print(
            Text(
                f"[{self._done:>{len(str(self._checks))}}/{self._checks}] {symbol} {mark.word:<14} {outcome.check_id:<7} "
                f"{about(outcome)}{findings} ({duration_text(outcome.duration_s)})"
            ),
            soft_wrap=True,  # without a terminal, lines are not wrapped
        )

    def _print_headline(self, result: RunResult, healed: Sequence[StoredFinding], code: ExitCode) -> None:
        style = {ExitCode.HOLDS: "green", ExitCode.VIOLATED: "red"}.get(code, "yellow")
        self._console.print(Text(headline(result), style=f"bold {style}"))
        if changes := self._changes(result, healed):
            self._console.print(Text(f"findings: {changes}"))
        duration = duration_text((result.ended_at - result.started_at).total_seconds())
        reads = sum(result.reads.values())
        facts = f"{duration}, {number(reads)} {plural('read', reads)}" if reads else duration
        self._console.print(Text(f"exit code {code.value}: {EXIT_MEANING[code]} · {facts}", style="dim"))
        excused = sorted(
            item.check_id
            for item in result.outcomes
            if item.verdict is Verdict.INCONCLUSIVE and item.check_id in self._accepted
        )
        if excused:
            self._console.print(Text(f"accepted as inconclusive by the profile: {', '.join(excused)}", style="dim"))

    def _changes(self, result: RunResult, healed: Sequence[StoredFinding]) -> str:
        """`2 new, 1 persisting, 3 healed`, or "" without a history."""
        prints = (item.fingerprint for outcome in result.outcomes for item in outcome.judgement.findings)
        counts = Counter(known.state.value for name in prints if (known := self._known(name)) is not None)
        counts["healed"] = len(healed)
        return ", ".join(f"{number(counts[name])} {name}" for name in ("new", "persisting", "healed") if counts[name])
