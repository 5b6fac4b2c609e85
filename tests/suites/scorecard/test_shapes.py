"""The catalogue on generated platforms: every case is answered correctly in shapes that have little in common."""

from __future__ import annotations

import pytest

from fixtures.blueprints.shape.options import Shape, draw, make
from fixtures.faults.logical import LOGICAL
from fixtures.scenarios.shapes import run_shape
from fixtures.stack.stack import Stack
from suites.scorecard.shapes import chosen, score, select_cases

pytestmark = pytest.mark.long

SHAPES = (
    make(1, {"broker": "none"}),
    draw(103, broker="none", users_in="postgres", words="reserved", databases="one", table="partitioned"),
    draw(207, broker="none", users_in="mongo", messages_in="postgres", conversations_in="mongo", presence_in="mongo"),
)


@pytest.mark.parametrize("shape", SHAPES, ids=("ordinary", "reserved-words", "other-stores"))
def test_every_case_is_answered(stack: Stack, shape: Shape) -> None:
    """Breaches are reported by exactly their checks, look-alikes by none, and nothing is unexplained."""
    run = run_shape(stack, shape)
    card = score(run)
    assert [f"{case.id}: {case.said}" for case in card.misses] == []
    assert card.false_alarms == []
    assert card.unexplained == []
    assert len(card.cases) > 100


def test_a_case_that_is_not_reported_is_a_miss(stack: Stack) -> None:
    """The score notices a breach that was planted and not seen: here it is repaired before the run."""
    shape = make(2, {"broker": "none"})
    run = run_shape(stack, shape, only=frozenset({"TOK-01/lost"}))
    (planted,) = [item for name, item in run.rounds.items() if name == "cutover breach"]
    planted.marks["TOK-01/lost"] = "another mark"
    card = score(run)
    assert [case.id for case in card.misses] == ["TOK-01/lost"]
    assert card.false_alarms


def test_shapes_are_chosen() -> None:
    """The command line's choices: the ordinary shape, drawn ones from a seed on, and the covering array or a part of it."""
    assert [shape.seed for shape in chosen("ordinary", seed=4, count=0)] == [4]
    assert [shape.seed for shape in chosen("random", seed=4, count=3)] == [4, 5, 6]
    assert [shape.seed for shape in chosen("covering", seed=2, count=2)] == [2, 3]
    with pytest.raises(ValueError, match="there are: ordinary, random, covering"):
        chosen("all", seed=1, count=1)


def test_cases_are_selected_by_id_and_by_check() -> None:
    """`--only` takes ids of cases and of checks."""
    assert select_cases(["TOK-01/lost"]) == {"TOK-01/lost"}
    assert select_cases(["USR-02"]) == {case.id for case in LOGICAL if "USR-02" in case.fault.expects | case.fault.near}
    assert select_cases(["NOPE-01"]) == frozenset()
