"""What the tests of both stories demand of each round and each fault."""

from __future__ import annotations

import pytest

from fixtures.faults import CATALOGUE, Fault
from suites.selftest.checks.stories import Story
from verifier.verdict import Verdict


def faults_of(*phases: str) -> list[Fault]:
    """The faults of some phases, for parameters."""
    return [fault for fault in CATALOGUE if fault.phase in phases]


def demand(story: Story, fault: Fault) -> None:
    """A breach is reported by exactly the checks that it expects, a look-alike by none."""
    told = story.of(fault)
    if told is None:
        pytest.skip(f"this world lacks {', '.join(sorted(fault.needs - story.has))}. {story.broker_missing}")
    assert told.reported(fault) == fault.expects, told.reasons()


def demand_rounds(story: Story) -> None:
    """Nothing is reported that was not planted, and nothing is unknown but what was blinded on purpose."""
    assert {name: told.unexplained() for name, told in story.rounds.items() if told.unexplained()} == {}
    blind = {name: told.verdicts(Verdict.INCONCLUSIVE) - told.blinded() for name, told in story.rounds.items()}
    if "broker" not in story.has:
        blind = {name: {check for check in checks if not check.startswith("MQ-")} for name, checks in blind.items()}
    assert {name: checks for name, checks in blind.items() if checks} == {}, "\n".join(
        story.rounds[name].reasons() for name, checks in blind.items() if checks
    )


def demand_clean(story: Story, phase: str, *, but: frozenset[str]) -> None:
    """The healthy world: whatever applies holds; `but` names what the default policies leave out."""
    clean = story.rounds[f"{phase} clean"]
    outcomes = {item.check_id: item for item in clean.result.outcomes}
    asked = {name for name, item in outcomes.items() if not item.judgement.reason.startswith("phase")} - but
    if "broker" not in story.has:
        asked = {name for name in asked if not name.startswith("MQ-")}
    assert {
        name: outcomes[name].judgement.reason for name in asked if outcomes[name].verdict is not Verdict.HOLDS
    } == {}
