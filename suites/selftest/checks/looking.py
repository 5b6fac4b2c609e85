"""What every test of a told story looks at; both worlds ask the same questions."""

from __future__ import annotations

import re

import pytest

from fixtures.faults import CATALOGUE, Fault
from fixtures.faults.catalogue import Kind
from fixtures.faults.planting import findings
from suites.selftest.checks.judging import Round
from suites.selftest.checks.stories import Story
from verifier.verdict import Verdict

JWT = re.compile(r"eyJ[\w-]+\.eyJ")


def faults_of(kind: Kind, *phases: str) -> list[Fault]:
    """The faults of some phases."""
    return [fault for fault in CATALOGUE if fault.kind == kind and fault.phase in phases]


def round_of(story: Story, fault: Fault) -> Round:
    """The round in which a fault was planted; without a broker on this machine some cannot be."""
    found = story.of(fault)
    if found is None:
        assert not fault.needs <= story.has, f"{fault.id} was planted in no round: stories.py leaves its batch out"
        pytest.skip(f"{fault.id} needs {' and '.join(sorted(fault.needs - story.has))}. {story.broker_missing}")
    return found


def must_be_reported_by_exactly_its_checks(story: Story, fault: Fault) -> None:
    """All of the checks that it breaks, and no other."""
    told = round_of(story, fault)
    assert told.reported(fault) == fault.expects, f"{fault.about} [{told.marks[fault.id]}]\n{told.reasons()}"


def must_not_be_reported(story: Story, fault: Fault) -> None:
    """No finding bears its mark, and the checks that it might mislead still know."""
    told = round_of(story, fault)
    assert told.reported(fault) == set(), f"{fault.about} [{told.marks[fault.id]}]\n{told.reasons()}"
    judged = {outcome.check_id for outcome in told.result.outcomes}
    assert fault.near <= judged, "the run of this round leaves out a check that the look-alike is near to"


def must_be_explained(story: Story, name: str) -> None:
    """A round's findings are those of its faults, verdicts follow from findings, and what could not know was meant to."""
    told = story.rounds[name]
    assert told.unexplained() == []
    planted = [CATALOGUE[fault_id] for fault_id in (*told.earlier, *told.marks)]
    violated = told.verdicts(Verdict.VIOLATED)
    assert violated <= {check for fault in planted for check in fault.expects}, told.reasons()
    assert violated >= {check for fault in told.faults for check in fault.expects}, told.reasons()
    if not any(fault.expects for fault in told.faults):
        assert violated == set(), told.reasons()
    assert told.verdicts(Verdict.INCONCLUSIVE) == told.blinded(), told.reasons()


def must_explain_themselves(story: Story) -> None:
    """Every accusation names both values, evidence and what to do, is told once, and shows no token."""
    for told in story.rounds.values():
        found = findings(told.result)
        for item in found:
            assert item.summary
            assert item.expected
            assert item.actual
            assert item.next_step
            assert item.evidence
            shown = "\n".join((item.key, item.summary, item.expected, item.actual, *item.evidence.values()))
            assert not JWT.search(shown), f"{item.check_id} shows a token: {item.summary}"
            assert len(shown) < 2_000, f"{item.check_id} shows a whole record: {item.summary[:200]}"
        prints = [item.fingerprint for item in found]
        assert len(prints) == len(set(prints)), "two findings of one run have the same fingerprint"
        for outcome in told.result.outcomes:
            if outcome.verdict is Verdict.HOLDS:
                assert outcome.coverage_text, f"{outcome.check_id} holds without saying what it saw"
            if outcome.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE):
                assert outcome.judgement.reason, f"{outcome.check_id} is {outcome.verdict} without a reason"
