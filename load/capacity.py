"""How much does it sustain? Raise the rate until an objective breaks, narrow it down, and try the edge again and again.

A rate is sustained if it passed every one of its trials. That k of k passed says, at 95 % confidence, that it passes with a probability of
at least 0.05 ** (1 / k) (Clopper and Pearson, 1934: 3 of 3 say 37 %, 10 of 10 say 74 %): both are in the report. The interval goes
from the highest rate that was sustained to the lowest that broke an objective.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from verifier.verdict import ExitCode

GROWTH: Final = 2.0
CONFIDENCE: Final = 0.95
TRIALS_MOST: Final = 40
_LEAST_PER_S: Final = 0.01

Outcome = Literal["held", "broke", "generator"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run at one rate (messages per second, all users together). `generator`: it was the generator that could not keep up."""

    per_s: float
    outcome: Outcome
    why: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Capacity:
    """What was found. `sustained_per_s` None: not even the lowest rate held; `broken_per_s` None: nothing broke it."""

    sustained_per_s: float | None = None
    broken_per_s: float | None = None
    limited_by_generator: bool = False
    trials: list[Trial] = field(default_factory=list)

    def passes(self, per_s: float) -> int:
        """How often this rate held."""
        return sum(trial.per_s == per_s and trial.outcome == "held" for trial in self.trials)

    @property
    def exit_code(self) -> ExitCode:
        """Inconclusive where the generator set the limit, or the search had to stop; violated where no rate held."""
        if self.limited_by_generator:
            return ExitCode.INCONCLUSIVE
        if self.sustained_per_s is None:
            return ExitCode.VIOLATED
        return ExitCode.HOLDS if self.broken_per_s is not None else ExitCode.INCONCLUSIVE

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "sustained_per_s": self.sustained_per_s,
            "broken_per_s": self.broken_per_s,
            "limited_by_generator": self.limited_by_generator,
            "trials": [
                {"per_s": trial.per_s, "outcome": trial.outcome, "why": list(trial.why)} for trial in self.trials
            ],
        }

    def to_text(self) -> str:
        """For a terminal."""
        if self.sustained_per_s is None:
            lines = ["No rate held: even the lowest that was tried broke an objective."]
        else:
            held = self.passes(self.sustained_per_s)
            sure = (1 - CONFIDENCE) ** (1 / held)
            lines = [
                f"Sustained: {self.sustained_per_s:.0f} messages per second, in {held} of {held} trials "
                f"(so it holds with a probability of {sure:.0%} or more, at {CONFIDENCE:.0%} confidence)."
            ]
        if self.broken_per_s is not None:
            why = next(
                trial.why for trial in self.trials if trial.per_s == self.broken_per_s and trial.outcome == "broke"
            )
            lines.append(f"Broken at {self.broken_per_s:.0f}: {'; '.join(why) or 'an objective was not reached'}.")
        if self.limited_by_generator:
            lines.append("Beyond that this generator is the limit, not the server: use more workers or machines.")
        elif self.broken_per_s is None:
            lines.append("Nothing broke it: the search ended before it found an upper end.")
        return "\n".join(lines)


def search(
    measure: Callable[[float], Trial], *, start_per_s: float, precision: float = 0.1, repeats: int = 3
) -> Capacity:
    """Find the capacity to `precision` (0.1: the ends lie within 10 %), its lower end tried `repeats` times."""
    return _Search(measure, precision, repeats).run(start_per_s)


class _Search:
    def __init__(self, measure: Callable[[float], Trial], precision: float, repeats: int) -> None:
        self._measure, self._precision, self._repeats = measure, precision, repeats
        self.found = Capacity()

    def run(self, start_per_s: float) -> Capacity:
        """Outwards, inwards, and the lower end again."""
        found, rate = self.found, start_per_s
        while self._goes_on and self._holds(rate):
            rate *= GROWTH
        while self._goes_on and found.sustained_per_s is None and rate > _LEAST_PER_S:
            rate /= GROWTH
            self._holds(rate)
        while self._goes_on and (low := found.sustained_per_s) is not None:
            high = found.broken_per_s
            if high is not None and high > low * (1 + self._precision):
                self._holds((low * high) ** 0.5)
            elif found.passes(low) < self._repeats:
                self._holds(low)
            else:
                break
        return found

    @property
    def _goes_on(self) -> bool:
        return len(self.found.trials) < TRIALS_MOST

    def _holds(self, per_s: float) -> bool:
        """One more trial; the ends follow from all of them, as a rate that held once may break the next time."""
        trial = self._measure(per_s)
        found = self.found
        found.trials.append(trial)
        if trial.outcome == "generator":
            found.limited_by_generator = True
        broken = [one.per_s for one in found.trials if one.outcome == "broke"]
        found.broken_per_s = min(broken, default=None)
        stopped = [one.per_s for one in found.trials if one.outcome != "held"]
        limit = min(stopped, default=float("inf"))
        held = [one.per_s for one in found.trials if one.outcome == "held" and one.per_s < limit]
        found.sustained_per_s = max(held, default=None)
        return trial.outcome == "held"
