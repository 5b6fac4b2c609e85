"""What the tests of both stories demand of each round and each fault."""

from __future__ import annotations

import re

import pytest

from fixtures.faults import CATALOGUE, Fault
from fixtures.faults.planting import caused_by, findings
from fixtures.scenarios.phases import ScenarioRun
from fixtures.scenarios.verifier_runs import Round
from verifier.checks.catalogue import load_checks
from verifier.model.invariant import Phase
from verifier.model.verdict import Verdict

JWT = re.compile(r"eyJ[\w-]+\.eyJ")
SHOWN_MAX = 2_000
LEFT_OUT = frozenset({"KEEP-03", "MSG-06", "MSG-07"})
"""What the default policies leave out: mirrored friends, imported history."""
OPENIMS_STORE = frozenset({"MSG-08", "SEQ-01", "SEQ-02", "SEQ-03", "SEQ-04"})
"""What only OpenIM's own database tells."""


def faults_of(*phases: str) -> list[Fault]:
    """The faults of some phases, for parameters."""
    return [
        fault for fault in CATALOGUE if fault.phase in phases and fault.kind != "unknowable" and fault.depth != "mutant"
    ]


def round_of(story: ScenarioRun, fault: Fault) -> Round:
    """The round in which a fault was planted; without a broker on this machine some cannot be."""
    told = story.of(fault)
    if told is None:
        assert not fault.needs <= story.has, f"{fault.id} was planted in no round: phases.py leaves its batch out"
        pytest.skip(f"this world lacks {', '.join(sorted(fault.needs - story.has))}. {story.broker_missing}")
    return told


def demand(story: ScenarioRun, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, a look-alike by none of those that were asked."""
    told = round_of(story, fault)
    assert told.reported(fault) == fault.expects, f"{fault.about} [{told.marks[fault.id]}]\n{told.reasons()}"
    assert fault.near <= {outcome.check_id for outcome in told.result.outcomes}, "a check that it is near was not run"


def demand_rounds(story: ScenarioRun) -> None:
    """Nothing is reported that was not planted, and nothing is unknown but what was blinded on purpose."""
    for name, told in story.rounds.items():
        assert told.unexplained() == [], name
        planted = [CATALOGUE[fault_id] for fault_id in (*told.earlier, *told.marks)]
        possible = {check for fault in planted for check in fault.expects}
        assert told.verdicts(Verdict.VIOLATED) <= possible, f"{name}\n{told.reasons()}"
        blind = told.verdicts(Verdict.INCONCLUSIVE) - told.expected_inconclusive()
        if "broker" not in story.has:
            blind = {check for check in blind if not check.startswith("MQ-")}
        assert blind == set(), f"{name}\n{told.reasons()}"
        assert told.expected_inconclusive() <= told.verdicts(Verdict.INCONCLUSIVE), f"{name}\n{told.reasons()}"


def demand_clean(story: ScenarioRun, phase: Phase, *, but: frozenset[str], name: str = "") -> None:
    """The healthy world: whatever applies holds; `but` names what the default policies leave out."""
    clean = story.rounds[f"{name or phase} clean"]
    applying = {item.id for item in load_checks() if phase.reached(item.phase) and item.until.reached(phase)} - but
    holding = clean.verdicts(Verdict.HOLDS)
    if "broker" not in story.has:
        applying = {name for name in applying if not name.startswith("MQ-")}
        holding = {name for name in holding if not name.startswith("MQ-")}
    assert holding == applying, f"{sorted(holding ^ applying)}\n{clean.reasons()}"


def demand_explanations(story: ScenarioRun) -> None:
    """Accusations name both values, evidence and what to do, come once and show no secret; a green says what it covers."""
    for told in story.rounds.values():
        for item in findings(told.result):
            assert all((item.summary, item.expected, item.actual, item.next_step, item.evidence)), item
            shown = "\n".join((item.key, item.summary, item.expected, item.actual, *item.evidence.values()))
            assert not JWT.search(shown), f"{item.check_id} shows a token: {item.summary}"
            assert len(shown) < SHOWN_MAX, f"{item.check_id} shows a whole record: {item.summary[:200]}"
        prints = [item.fingerprint for item in findings(told.result)]
        assert len(prints) == len(set(prints)), "two findings of one run have the same fingerprint"
        for outcome in told.result.outcomes:
            said = outcome.coverage_text if outcome.verdict is Verdict.HOLDS else outcome.judgement.reason
            assert said or outcome.verdict is Verdict.VIOLATED, (
                f"{outcome.check_id} is {outcome.verdict} without a word"
            )


def known_by(story: ScenarioRun, fault_id: str) -> set[str]:
    """How the findings of a fault say that they are known."""
    told = round_of(story, CATALOGUE[fault_id])
    mine = [item for item in findings(told.result) if fault_id in caused_by(item, told.marks)]
    return {item.evidence.get("known by", "") for item in mine}
