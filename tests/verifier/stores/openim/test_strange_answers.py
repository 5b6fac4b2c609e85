"""Checks behind a proxy that changes OpenIM's answers: none holds over a planted breach, and none accuses what is healthy (R11)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from fixtures.blueprints import worlds
from fixtures.faults import CATALOGUE, Site
from fixtures.faults.edits import put_all
from fixtures.faults.planting import edited, findings, plant_all, reported, unexplained
from fixtures.scenarios.verifier_runs import VerifierRuns
from fixtures.services.strange_proxy import StrangeProxy, Twist, untouched
from fixtures.services.twists import FAILING, HARMLESS, LYING, remembering
from fixtures.stack.stack import Stack
from verifier.model.verdict import RunResult, Verdict

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

BREACHES = [
    CATALOGUE[name]
    for name in (
        "USR-01/never-registered", "USR-02/registered-past-us", "USR-05/renamed-here-alone", "USR-06/phone-in-ex",
        "GRP-03/unknown-group", "GRP-04/left-behind", "GRP-04/let-in", "GRP-05/two-owners", "GRP-07/unknown",
        "CNV-03/no-such-chat", "CNV-05/pinned-twice", "TOK-04/kicked", "KEEP-03/not-mirrored", "MSG-05/gone-by-pull",
    )
]  # fmt: skip
LOOKALIKES = [
    CATALOGUE[name]
    for name in (
        "USR-01/never-signed-in", "USR-02/notification-account", "USR-05/decomposed", "USR-06/harmless-ex", "GRP-03/dismissed",
        "GRP-04/joined-since", "GRP-04/left-since", "GRP-04/never-came", "GRP-05/transferred", "GRP-05/dismissed",
        "CNV-03/silent-chat", "CNV-05/pinned-there", "MSG-05/kept",
    )
]  # fmt: skip
JUDGED = sorted({check for fault in BREACHES for check in fault.expects})
LIMITS = put_all(
    {
        "roles.openim.batch_size": 10,
        "roles.openim.operation_timeout_s": 3,
        "timing.settle_s": 0.2,
        "budgets.openim.statements_per_s": 2000,
    }
)


@dataclass(kw_only=True)
class _Night:
    """A world with breaches and look-alikes, and a proxy between the verifier and its OpenIM."""

    runs: VerifierRuns
    marks: dict[str, str]
    proxy: StrangeProxy

    def judge(self, twist: Twist) -> RunResult:
        """One run with this twist."""
        self.proxy.twist = twist
        config = replace(self.runs.config, openim_api=self.proxy.url)
        text = LIMITS(edited(self.runs.profile(config), [*BREACHES, *LOOKALIKES]))
        return asyncio.run(self.runs.judge(text, only=tuple(JUDGED)))


@pytest.fixture(scope="module")
def night(stack: Stack) -> Iterator[_Night]:
    """The world, with everything planted."""
    with stack.new_world() as world:
        population = asyncio.run(worlds.mid_migration(world.config, users=12))

        async def plant() -> dict[str, str]:
            async with Site.open(world.config, population, world.admin) as site:
                # A breach dates the move of a group anew; look-alikes join groups after their move.
                return await plant_all(site, BREACHES) | await plant_all(site, LOOKALIKES)

        marks = asyncio.run(plant())
        with VerifierRuns(world.config) as runs, StrangeProxy(world.config.openim_api, prefix="/api") as proxy:
            runs.enter("cutover")
            yield _Night(runs=runs, marks=marks, proxy=proxy)


def _verdicts(result: RunResult) -> dict[str, Verdict]:
    return {outcome.check_id: outcome.verdict for outcome in result.outcomes if outcome.check_id in JUDGED}


def _found(night: _Night, result: RunResult) -> dict[str, set[str]]:
    return {fault: checks for fault, checks in reported(result, night.marks).items() if checks}


def _demand_no_false_word(night: _Night, result: RunResult) -> None:
    """Each check that has a breach is violated or inconclusive, and accuses nothing but planted breaches."""
    breaches = {fault.id: night.marks[fault.id] for fault in BREACHES}
    for outcome in result.outcomes:
        if outcome.check_id in JUDGED:
            assert outcome.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE), (outcome.check_id, outcome.verdict)
            reason = outcome.judgement.reason
            assert not any(word in reason for word in ("crashed", "Traceback", "fault of the verifier")), reason
    accused = [f"{item.check_id}: {item.summary}: {item.actual}" for item in unexplained(result, breaches)]
    assert accused == []
    expected = {fault.id: fault.expects for fault in BREACHES}
    assert all(checks <= expected[fault] for fault, checks in reported(result, breaches).items())


def test_everything_is_found_without_a_twist(night: _Night) -> None:
    """The proxy, which serves the API under a path, changes nothing: each breach is found, and nothing else."""
    result = night.judge(untouched)
    _demand_no_false_word(night, result)
    assert _found(night, result) == {fault.id: set(fault.expects) for fault in BREACHES}


@pytest.mark.parametrize("name", [*LYING, *remembering()])
def test_answers_that_lie(night: _Night, name: str) -> None:
    """Records that an answer lacks, repeats or mixes up are unknown: no check holds over its breach, and none accuses the others."""
    _demand_no_false_word(night, night.judge({**LYING, **remembering()}[name]))


@pytest.mark.parametrize("name", FAILING)
def test_answers_that_are_none(night: _Night, name: str) -> None:
    """Every check is inconclusive, with a sentence that names the store and what came instead."""
    result = night.judge(FAILING[name])
    assert set(_verdicts(result).values()) == {Verdict.INCONCLUSIVE}, _verdicts(result)
    assert findings(result) == []
    for outcome in result.outcomes:
        if outcome.check_id in JUDGED:
            reason = outcome.judgement.reason
            assert "openim" in reason, reason
            assert not any(word in reason for word in ("crashed", "Traceback", "fault of the verifier", "eyJ")), reason


@pytest.mark.parametrize("name", HARMLESS)
def test_unusual_answers_that_are_whole(night: _Night, name: str) -> None:
    """Everything is found as without the proxy. By chance a request meets the twist in each of its attempts, so a second run may
    be needed."""
    expected = {fault.id: set(fault.expects) for fault in BREACHES}
    found = {}
    for _ in range(2):
        result = night.judge(HARMLESS[name])
        _demand_no_false_word(night, result)
        if (found := _found(night, result)) == expected:
            break
    assert found == expected
