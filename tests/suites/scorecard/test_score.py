"""The scorecard: a subset of the catalogue with background traffic, and a disabled check."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.stack.stack import Stack
from reports.joined import read_part
from reports.scorecards import BESIDE
from suites.scorecard import page, run
from suites.scorecard.mutate import disabled
from suites.scorecard.score import Card, Case
from verifier.model.verdict import Verdict

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]

V, L = "USR-01/never-registered", "KEEP-01/other-keys"


def test_a_subset_is_answered_correctly(stack: Stack) -> None:
    """A breach is found and timed, a look-alike is not reported, and there was traffic meanwhile."""
    card = run.run_catalogue(stack, seed=7, only=frozenset({V, L}), say=lambda _text: None)
    assert card.clean, page.markdown(card, "test")
    assert {case.id for case in card.cases} == {V, L}
    assert next(case for case in card.cases if case.id == V).detect_s is not None
    assert card.traffic


def test_the_card_is_a_section_of_the_joined_report(tmp_path: Path) -> None:
    """Each invariant is an outcome; a missed case is a finding, and so is a false alarm."""
    right = Case(id=V, letter="V", depth="store", checks=("USR-01",), right=True, detect_s=1.5)
    missed = replace(
        right, id="USR-05/x", checks=("USR-05",), right=False, said="not reported by USR-05", detect_s=None
    )
    card = Card(seed=7, cases=[right, missed], false_alarms=["cutover: MSG-01: a phantom"])
    path = tmp_path / "scorecard.json"
    path.write_text(json.dumps(card.to_json("python -m suites.scorecard --seed 7")))
    outcomes = {outcome.check_id: outcome for outcome in read_part(path).result.outcomes}
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == {
        "USR-01": Verdict.HOLDS,
        "USR-05": Verdict.VIOLATED,
        BESIDE: Verdict.VIOLATED,
    }
    assert outcomes["USR-05"].judgement.findings[0].actual == "USR-05/x: not reported by USR-05"


def test_a_disabled_check_fails_its_case(stack: Stack) -> None:
    """If the check detects nothing any more, the scorecard names the missed breach and the check."""
    with disabled(["USR-01"]):
        card = run.run_catalogue(stack, seed=7, only=frozenset({V}), say=lambda _text: None)
    assert not card.clean
    assert [case.said for case in card.misses] == ["not reported by USR-01"]
    assert V in page.markdown(card, "test")
