"""What the scenario tests assert of each round and each fault."""

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
LEFT_OUT = frozenset({"CNV-07", "KEEP-03", "MSG-06", "MSG-07"})
"""Checks that the default policies leave out: cohorts of users, mirrored friends, imported history."""
OPENIMS_STORE = frozenset({"MSG-08", "SEQ-01", "SEQ-02", "SEQ-03", "SEQ-04"})
"""Checks that need OpenIM's own database."""


def faults_of(*phases: str) -> list[Fault]:
    """The faults of some phases, as test parameters."""
    return [
        fault for fault in CATALOGUE if fault.phase in phases and fault.kind != "unknowable" and fault.depth != "mutant"
    ]


def round_of(scenario: ScenarioRun, fault: Fault) -> Round:
    """The round in which a fault was planted. Skips if this machine lacks what the fault needs, such as a broker."""
    this_round = scenario.of(fault)
    if this_round is None:
        assert not fault.needs <= scenario.has, f"{fault.id} was planted in no round: phases.py leaves its batch out"
        pytest.skip(f"this world lacks {', '.join(sorted(fault.needs - scenario.has))}. {scenario.broker_missing}")
    return this_round


def demand(scenario: ScenarioRun, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, and a look-alike by none of those that ran."""
    this_round = round_of(scenario, fault)
    assert this_round.reported(fault) == fault.expects, (
        f"{fault.about} [{this_round.marks[fault.id]}]\n{this_round.reasons()}"
    )
    assert fault.near <= {outcome.check_id for outcome in this_round.result.outcomes}, (
        "a check that it is near was not run"
    )


def demand_rounds(scenario: ScenarioRun) -> None:
    """Every finding was planted, and every inconclusive check was made so on purpose."""
    for name, this_round in scenario.rounds.items():
        assert not (surprising := this_round.unexplained()), f"{name}\n{surprising}"
        planted = [CATALOGUE[fault_id] for fault_id in (*this_round.earlier, *this_round.marks)]
        possible = {check for fault in planted for check in fault.expects}
        assert this_round.verdicts(Verdict.VIOLATED) <= possible, f"{name}\n{this_round.reasons()}"
        unexpected = this_round.verdicts(Verdict.INCONCLUSIVE) - this_round.expected_inconclusive()
        if "broker" not in scenario.has:
            unexpected = {check for check in unexpected if not check.startswith("MQ-")}
        assert unexpected == set(), f"{name}\n{this_round.reasons()}"
        assert this_round.expected_inconclusive() <= this_round.verdicts(Verdict.INCONCLUSIVE), (
            f"{name}\n{this_round.reasons()}"
        )


def demand_clean(scenario: ScenarioRun, phase: Phase, *, but: frozenset[str], name: str = "") -> None:
    """In the healthy world every applicable check holds; `but` names those that the default policies leave out."""
    clean = scenario.rounds[f"{name or phase} clean"]
    applying = {item.id for item in load_checks() if phase.reached(item.phase) and item.until.reached(phase)} - but
    holding = clean.verdicts(Verdict.HOLDS)
    if "broker" not in scenario.has:
        applying = {name for name in applying if not name.startswith("MQ-")}
        holding = {name for name in holding if not name.startswith("MQ-")}
    assert holding == applying, f"{sorted(holding ^ applying)}\n{clean.reasons()}"


def demand_explanations(scenario: ScenarioRun) -> None:
    """Findings have both values, evidence and a next step, are unique and show no secret; a check that holds states its coverage."""
    for this_round in scenario.rounds.values():
        for item in findings(this_round.result):
            assert all((item.summary, item.expected, item.actual, item.next_step, item.evidence)), item
            shown = "\n".join((item.key, item.summary, item.expected, item.actual, *item.evidence.values()))
            assert not JWT.search(shown), f"{item.check_id} shows a token: {item.summary}"
            assert len(shown) < SHOWN_MAX, f"{item.check_id} shows a whole record: {item.summary[:200]}"
        prints = [item.fingerprint for item in findings(this_round.result)]
        assert len(prints) == len(set(prints)), "two findings of one run have the same fingerprint"
        for outcome in this_round.result.outcomes:
            said = outcome.coverage_text if outcome.verdict is Verdict.HOLDS else outcome.judgement.reason
            assert said or outcome.verdict is Verdict.VIOLATED, (
                f"{outcome.check_id} is {outcome.verdict} without a word"
            )


def known_by(scenario: ScenarioRun, fault_id: str) -> set[str]:
    """How the findings of a fault are known."""
    this_round = round_of(scenario, CATALOGUE[fault_id])
    mine = [item for item in findings(this_round.result) if fault_id in caused_by(item, this_round.marks)]
    return {item.evidence.get("known by", "") for item in mine}
