"""Comparison of runs with a baseline: the ratio of each figure, with a confidence interval.

The seconds of one run are correlated, and runs differ from each other. So blocks of ten seconds are compared, and the
bootstrap is hierarchical: it draws runs, then blocks within each run, and takes the ratio of the means (Kalibera and
Jones, 2013). A difference is significant if the 95 % interval of the ratio excludes 1, and if it is large enough to
matter. With one run on a side, the interval does not include the variation between runs, which a note says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from load.config import SettingsError
from load.results import ComparisonResult, Difference, Meaning
from verifier.model.verdict import ExitCode

FORMAT: Final = "openim-ssot load baseline"
BLOCK_S: Final = 10.0
DRAWS: Final = 4000
MATTERS: Final = 0.05
"""Smaller relative differences do not count, however significant."""
_SEED: Final = 20_140_101
_LEAST_BLOCKS: Final = 3

Blocks = list[float]
Side = Mapping[str, Sequence[Blocks]]
"""For each figure, the blocks of each run."""

FIGURES: Final = {
    "acked per second": "higher",
    "send p50 ms": "lower",
    "send p99 ms": "lower",
    "push p50 ms": "lower",
    "push p99 ms": "lower",
}
"""What is compared, and which direction is better."""


def figures_of(report: Mapping[str, Any]) -> dict[str, Blocks]:
    """A run's figures in blocks. Raises SettingsError for a run without a timeline."""
    timeline = report.get("timeline") or {}
    if not timeline.get("acked"):
        raise SettingsError(
            f"the run {report.get('run_id', '?')} has no timeline: nothing was acknowledged, or it was recorded by an earlier version over REST"
        )
    step_s = float(timeline["step_s"])
    # The first and the last step are incomplete.
    acked = [count / step_s for count in timeline["acked"][1:-1]]
    found = {"acked per second": _blocks(acked, step_s)}
    for name in ("send", "push"):
        for percentile in ("p50", "p99"):
            values = [value for value in timeline[f"{name}_ms"][percentile][1:-1] if value is not None]
            found[f"{name} {percentile} ms"] = _blocks(values, step_s)
    return found


def save(reports: Sequence[Path], output: Path) -> None:
    """Save these runs as a baseline. Raises SettingsError and OSError."""
    runs = [_read(path) for path in reports]
    document = {
        "format": FORMAT,
        "version": 1,
        "runs": [{"run_id": run.get("run_id"), "stack": run.get("stack"), "figures": figures_of(run)} for run in runs],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result: the differences, the new runs and their times (ISO 8601), and the runs of the baseline (`beside`)."""

    stack: str
    started_at: str
    ended_at: str
    runs: tuple[str, ...]
    beside: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def exit_code(self) -> ExitCode:
        """1 if a figure is significantly worse, 2 if there is not enough data, else 0."""
        meanings = {item.meaning for item in self.differences}
        if "worse" in meanings:
            return ExitCode.VIOLATED
        return ExitCode.INCONCLUSIVE if "unknown" in meanings or not meanings else ExitCode.HOLDS

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the reader."""
        if min(len(self.runs), len(self.beside)) > 1:
            return ()
        return ("with a single run on a side, the variation between runs is not included; use three or more",)

    def to_json(self) -> dict[str, Any]:
        """For a file, and for `python -m reports`."""
        return ComparisonResult.model_validate(
            {"exit_code": int(self.exit_code), "notes": self.notes, **vars(self)}
        ).model_dump(mode="json")

    def to_text(self) -> str:
        """For a terminal."""
        return "\n".join([*(item.to_text() for item in self.differences), *(f"  note: {note}" for note in self.notes)])


def compare(reports: Sequence[Path], baseline: Path) -> Comparison:
    """Compare runs with a baseline. Raises SettingsError."""
    document = _read(baseline)
    if document.get("format") != FORMAT:
        raise SettingsError(
            f"{baseline} is not a baseline. Save one with: python -m load baseline RUN.json … -o {baseline}"
        )
    before = _side([run["figures"] for run in document["runs"]])
    runs = [_read(path) for path in reports]
    after = _side([figures_of(run) for run in runs])
    for path, run in zip(reports, runs, strict=True):
        if not run.get("started_at") or not run.get("ended_at"):
            raise SettingsError(f"{path} does not say when its run started and ended.")
    return Comparison(
        stack=str(runs[0].get("stack", "")),
        started_at=min(str(run["started_at"]) for run in runs),
        ended_at=max(str(run["ended_at"]) for run in runs),
        runs=tuple(str(run.get("run_id", "?")) for run in runs),
        beside=tuple(str(run.get("run_id", "?")) for run in document["runs"]),
        differences=tuple(
            difference(name, before[name], after[name]) for name in FIGURES if before[name] and after[name]
        ),
    )


def difference(figure: str, before: Sequence[Blocks], after: Sequence[Blocks]) -> Difference:
    """Compare one figure; the random draws are the same every time."""
    rng = np.random.default_rng(_SEED)
    old, new = _mean(before), _mean(after)
    ratios = _draws(rng, after) / np.maximum(_draws(rng, before), 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975])
    blocks = min(sum(map(len, before)), sum(map(len, after)))
    meaning: Meaning = "same"
    if blocks < _LEAST_BLOCKS:
        meaning = "unknown"
    elif (low > 1 or high < 1) and abs(new / old - 1) >= MATTERS:
        meaning = "better" if (new > old) == (FIGURES[figure] == "higher") else "worse"
    return Difference(figure=figure, baseline=old, new=new, low=float(low), high=float(high), meaning=meaning)


def _side(runs: Sequence[Mapping[str, Blocks]]) -> dict[str, list[Blocks]]:
    return {name: [run[name] for run in runs if run.get(name)] for name in FIGURES}


def _blocks(values: Sequence[float], step_s: float) -> Blocks:
    size = max(1, round(BLOCK_S / step_s))
    whole = [values[first : first + size] for first in range(0, len(values) - size + 1, size)] or [values]
    return [float(np.mean(part)) for part in whole if part]


def _mean(runs: Sequence[Blocks]) -> float:
    return float(np.mean([np.mean(run) for run in runs]))


def _draws(rng: np.random.Generator, runs: Sequence[Blocks]) -> Any:
    """Means of runs drawn with replacement, each of blocks drawn with replacement."""
    chosen = rng.integers(len(runs), size=(DRAWS, len(runs)))
    means = np.empty(chosen.shape)
    for number, run in enumerate(runs):
        where = np.nonzero(chosen == number)
        drawn = rng.integers(len(run), size=(len(where[0]), len(run)))
        means[where] = np.asarray(run)[drawn].mean(axis=1)
    return means.mean(axis=1)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not JSON'}.") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{path} is not the report of a run.")
    return found
