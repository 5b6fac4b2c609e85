"""The scoreboard keeps the score: a subset of the catalogue under traffic, and a check without its heart."""

from __future__ import annotations

import pytest

from fixtures.stack import Stack
from suites.mutate import cut_out
from suites.scorecard import page, running

pytestmark = pytest.mark.timeout(200)

V, L = "USR-01/never-registered", "KEEP-01/other-keys"


def test_a_subset_is_answered_rightly(stack: Stack) -> None:
    """A breach is found and timed, a look-alike left alone, and the traffic did something meanwhile."""
    card = running.run(stack, seed=7, only=frozenset({V, L}), say=lambda _text: None)
    assert card.clean, page.markdown(card, "test")
    assert {case.id for case in card.cases} == {V, L}
    assert next(case for case in card.cases if case.id == V).detect_s is not None
    assert card.traffic


def test_a_check_without_its_heart_turns_its_case_red(stack: Stack) -> None:
    """Where the check finds nothing any more, the board says which breach was missed, and by whom."""
    with cut_out(["USR-01"]):
        card = running.run(stack, seed=7, only=frozenset({V}), say=lambda _text: None)
    assert not card.clean
    assert [case.said for case in card.misses] == ["not reported by USR-01"]
    assert V in page.markdown(card, "test")
