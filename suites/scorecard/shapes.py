"""Score the logical catalogue on generated platforms: `python -m suites.scorecard --shape random --seed N`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from fixtures.blueprints.shape.options import Shape, covering, draw, ordinary
from fixtures.faults.logical import LOGICAL
from fixtures.processes.process import ServerFailed
from fixtures.scenarios.shapes import ShapeRun, run_shape
from fixtures.stack.stack import Stack
from suites.scorecard.score import Card, admitted, because, scored
from verifier.model.verdict import Verdict
from verifier.profile import ProfileError

CHOICES = ("ordinary", "random", "covering")


def chosen(which: str, *, seed: int, count: int) -> list[Shape]:
    """The shapes to run: the ordinary one, `count` drawn ones from a seed on, or the covering array (`count` of it, 0: all)."""
    match which:
        case "ordinary":
            return [ordinary(seed)]
        case "random":
            return [draw(seed + index) for index in range(max(count, 1))]
        case "covering":
            return covering()[seed - 1 :][: count or None]
        case _:
            raise ValueError(f"there is no choice of shapes {which!r}; there are: {', '.join(CHOICES)}")


def select_cases(names: Sequence[str]) -> frozenset[str]:
    """The cases with these ids, or about the checks with these ids."""
    wanted = set(names)
    return frozenset(
        case.id
        for case in LOGICAL
        if wanted & {case.id, *case.fault.expects, *case.fault.near, *case.fault.inconclusive, case.fault.check}
    )


def run_shapes(stack: Stack, shapes: Sequence[Shape], *, only: frozenset[str], say: Callable[[str], None]) -> Card:
    """Run the applicable cases in each shape, and score them together. The ids of cases name their shape."""
    card = Card(seed=shapes[0].seed)
    for shape in shapes:
        started = time.monotonic()
        try:
            run = run_shape(stack, shape, only=only, with_traffic=True)
        except (ProfileError, ServerFailed) as error:
            card.unexplained.append(f"shape {shape.seed}: it could not be run: {error}")
            say(card.unexplained[-1])
            continue
        one = score(run)
        for action, times in run.traffic.items():
            card.traffic[action] = card.traffic.get(action, 0) + times
        card.cases += one.cases
        card.false_alarms += one.false_alarms
        card.unexplained += one.unexplained
        right = sum(case.right for case in one.cases)
        say(
            f"shape {shape.seed}: {right} of {len(one.cases)} cases in {time.monotonic() - started:.0f} s ({shape.describe()})"
        )
        for case in one.misses:
            say(f"  {case.id}: {case.said}")
        for text in (*one.false_alarms, *one.unexplained):
            say(f"  {text}")
    return card


def score(run: ShapeRun) -> Card:
    """The card of one shape."""
    card = Card(seed=run.shape.seed)
    prefix = f"shape {run.shape.seed}: "
    seen: set[str] = set()
    for name, planted in run.rounds.items():
        for fault in planted.faults:
            case = scored(fault, planted)
            card.cases.append(case if case.right else replace(case, said=f"{prefix}{case.said}"))
        unknown = planted.verdicts(Verdict.INCONCLUSIVE) - planted.expected_inconclusive()
        # What is not repaired is said in every later round; once is enough.
        alarms = [text for text in planted.unexplained() if text not in seen]
        reasons = [text for text in because(planted, unknown) if text not in seen]
        seen.update((*alarms, *reasons))
        card.false_alarms += [f"{prefix}{name}: {text}" for text in alarms]
        card.unexplained += [f"{prefix}{name}: {text}" for text in reasons]
    for planted in run.alone.values():
        case = admitted(planted.faults[0], planted)
        card.cases.append(case if case.right else replace(case, said=f"{prefix}{case.said}"))
    return card
