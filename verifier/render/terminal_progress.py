"""Live progress on a terminal: one bar for the run, one line for each running check."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from verifier.model.text import number
from verifier.model.verdict import Outcome, Verdict

LINES_MAX = 6
"""Lines for running checks, so that the display keeps its height."""


class LiveProgress:
    """Shows progress during the run and removes it afterwards."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False, style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=5,
        )
        self._whole: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._counts = dict.fromkeys(Verdict, 0)
        self._findings: dict[str, int] = {}

    def start(self, checks: int) -> None:
        """Start the display."""
        self._whole = self._bars.add_task("all checks", total=checks, text=f"0/{checks}")
        self._bars.start()

    def stop(self) -> None:
        """Stop the display and remove it. May be called twice."""
        self._bars.stop()

    def check_started(self, check_id: str, title: str) -> None:
        """Add the line of a check."""
        if check_id not in self._tasks:
            visible = len(self._tasks) < LINES_MAX
            self._tasks[check_id] = self._bars.add_task(
                f"{check_id:<10}", total=None, text=_fit(title, self._bars.console), visible=visible
            )

    def progress(self, check_id: str, done: int, total: int | None, unit: str) -> None:
        """Update the line of a check."""
        task = self._tasks.get(check_id)
        if task is not None:
            amount = f"{number(done)} of {number(total)} {unit}" if total is not None else f"{number(done)} {unit}"
            text = amount if done or total is not None else unit
            found = self._findings.get(check_id, 0)
            text = f"{found} found, {text}" if found else text
            self._bars.update(task, completed=done, total=total, text=_fit(text, self._bars.console))

    def found(self, check_id: str) -> None:
        """Count a finding of a check."""
        self._findings[check_id] = self._findings.get(check_id, 0) + 1

    def check_finished(self, outcome: Outcome) -> None:
        """Remove the line of a check, show a hidden one, and advance the bar of the run."""
        task = self._tasks.pop(outcome.check_id, None)
        if task is not None:
            self._bars.remove_task(task)
        for shown in list(self._tasks.values())[:LINES_MAX]:
            self._bars.update(shown, visible=True)
        self._counts[outcome.verdict] += 1
        if self._whole is not None:
            done = sum(self._counts.values())
            total = self._bars.tasks[0].total
            parts = [f"{done}/{total:g}" if total else f"{done}"]
            parts += [
                f"{count} {verdict.value}"
                for verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE)
                if (count := self._counts[verdict])
            ]
            self._bars.update(self._whole, completed=done, text=", ".join(parts))


def _fit(text: str, console: Console) -> str:
    room = max(console.width - 52, 12)
    fitted = Text(text.replace("\n", " "))
    fitted.truncate(room, overflow="ellipsis")
    return fitted.plain
