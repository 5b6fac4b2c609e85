"""The capacity search: raise the rate until a threshold is missed, narrow the interval, repeat its lower end.

A rate is sustained if it held in every one of its trials. If it held in k of k trials, it holds with a probability of at
least 0.05 ** (1 / k) at 95 % confidence (Clopper and Pearson, 1934: 37 % for 3 trials, 74 % for 10). Both are in the
report. The interval extends from the highest sustained rate to the lowest rate that missed a threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from load.results import CAPACITY, Outcome, Trial
from verifier.model.verdict import ExitCode

GROWTH: Final = 2.0
CONFIDENCE: Final = 0.95
TRIALS_MAX: Final = 40
_LEAST_PER_S: Final = 0.01


@dataclass(kw_only=True)
class Capacity:
    """The result. `sustained_per_s` is None if not even the lowest rate held, `broken_per_s` if no rate broke."""

    sustained_per_s: float | None = None
    broken_per_s: float | None = None
    trials: list[Trial] = field(default_factory=list)

    @property
    def limited_by_generator(self) -> bool:
        """Whether the generator reached its limit below every rate at which the server broke."""
        limit = self.lowest("generator")
        return limit is not None and (self.broken_per_s is None or limit < self.broken_per_s)

    def lowest(self, *outcomes: Outcome) -> float | None:
        """The lowest rate with one of these outcomes."""
        return min((trial.per_s for trial in self.trials if trial.outcome in outcomes), default=None)

    def passes(self, per_s: float) -> int:
        """The number of trials in which this rate held."""
        return sum(trial.per_s == per_s and trial.outcome == "held" for trial in self.trials)

    @property
    def exit_code(self) -> ExitCode:
        """Inconclusive if the generator was the limit or the search ended early; violated if no rate held."""
        if self.limited_by_generator:
            return ExitCode.INCONCLUSIVE
        if self.sustained_per_s is None:
            return ExitCode.VIOLATED
        return ExitCode.HOLDS if self.broken_per_s is not None else ExitCode.INCONCLUSIVE

    def to_json(self) -> dict[str, Any]:
        """What the search itself knows of a `load.results.CapacityResult`; the command adds the stack and the times."""
        return {
            "format": CAPACITY,
            "version": 1,
            "exit_code": int(self.exit_code),
            # The key is that of version 1.
            "told": self.to_text(),
            "sustained_per_s": self.sustained_per_s,
            "broken_per_s": self.broken_per_s,
            "limited_by_generator": self.limited_by_generator,
            "trials": [trial.model_dump(mode="json") for trial in self.trials],
        }

    def to_text(self) -> str:
        """For a terminal."""
        if self.sustained_per_s is None:
            lines = ["No rate held: the lowest rate of the search missed a threshold, too."]
        else:
            held = self.passes(self.sustained_per_s)
            probability = (1 - CONFIDENCE) ** (1 / held)
            lines = [
                f"Sustained: {self.sustained_per_s:.0f} messages per second, in {held} of {held} trials "
                f"(so it holds with a probability of {probability:.0%} or more, at {CONFIDENCE:.0%} confidence)."
            ]
        if self.broken_per_s is not None:
            why = next(
                trial.why for trial in self.trials if trial.per_s == self.broken_per_s and trial.outcome == "broke"
            )
            lines.append(f"Broken at {self.broken_per_s:.0f}: {'; '.join(why) or 'a threshold was not reached'}.")
        if self.limited_by_generator:
            lines.append("Above that, the generator is the limit and not the server: use more workers or machines.")
        elif self.broken_per_s is None:
            lines.append("No rate missed a threshold: the search ended without an upper bound.")
        return "\n".join(lines)


def search(
    measure: Callable[[float], Trial], *, start_per_s: float, precision: float = 0.1, repeats: int = 3
) -> Capacity:
    """Find the capacity to `precision` (0.1: the ends differ by 10 % at most); its lower end is tried `repeats` times."""
    return _Search(measure, precision, repeats).run(start_per_s)


class _Search:
    def __init__(self, measure: Callable[[float], Trial], precision: float, repeats: int) -> None:
        self._measure, self._precision, self._repeats = measure, precision, repeats
        self.found = Capacity()

    def run(self, start_per_s: float) -> Capacity:
        """Widen, narrow, and repeat the lower end; a rate that breaks on a repeat becomes the upper end."""
        while len(self.found.trials) < TRIALS_MAX and (following := self._following(start_per_s)) is not None:
            self._try(following)
        return self.found

    def _following(self, start_per_s: float) -> float | None:
        """The rate to try next; None when the search is complete."""
        found = self.found
        low, high = found.sustained_per_s, found.lowest("broke", "generator")
        if not found.trials:
            return start_per_s
        if low is None:
            lower = min(one.per_s for one in found.trials) / GROWTH
            return lower if lower > _LEAST_PER_S else None
        if high is None:
            return low * GROWTH
        if high > low * (1 + self._precision):
            return float((low * high) ** 0.5)
        return low if found.passes(low) < self._repeats else None

    def _try(self, per_s: float) -> None:
        """One more trial; both ends follow from all trials, as a rate that held once may break the next time."""
        found = self.found
        found.trials.append(self._measure(per_s))
        found.broken_per_s = found.lowest("broke")
        limit = found.lowest("broke", "generator")
        held = [one.per_s for one in found.trials if one.outcome == "held" and (limit is None or one.per_s < limit)]
        found.sustained_per_s = max(held, default=None)
