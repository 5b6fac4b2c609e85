"""Findings become new, persisting or healed: a stateful test against a simple model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.verifier.history.samples import START, at, finding, one_run, outcome, result, violated
from verifier.history import Changes, FindingState, History, RunKind
from verifier.model.verdict import Verdict

pytestmark = pytest.mark.long

keys = st.sets(st.sampled_from(["a", "b", "c", "d"]))
checks = st.sampled_from(["USR-01", "MSG-01"])


class FindingsOverTime(RuleBasedStateMachine):
    """Runs of two checks in any order; `self.model` maps (check, key) to [state, times seen]."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History.open("memory:", stack="s")
        self.model: dict[tuple[str, str], list[object]] = {}
        self.runs = 0

    def teardown(self) -> None:
        """Close the database."""
        self.history.close()

    @initialize()
    def nothing_is_known(self) -> None:
        """A new history holds no finding."""
        assert self.history.findings() == []

    def _see(self, check_id: str, found: set[str]) -> None:
        for key in found:
            state, times = self.model.get((check_id, key), [FindingState.HEALED, 0])
            assert isinstance(times, int)
            new = FindingState.NEW if state is FindingState.HEALED else FindingState.PERSISTING
            self.model[check_id, key] = [new, times + 1]

    def _heal(self, check_id: str, found: set[str]) -> None:
        for (check, key), entry in self.model.items():
            if check == check_id and key not in found:
                entry[0] = FindingState.HEALED

    def _run(self, check_id: str, verdict: Verdict, found: set[str], **more: object) -> None:
        self.runs += 1
        findings = [finding(self.history, key, check_id=check_id) for key in sorted(found)]
        one_run(self.history, f"r{self.runs}", outcome(verdict, findings, check_id=check_id, **more))  # type: ignore[arg-type]

    @rule(check_id=checks, found=keys.filter(bool), verdict=st.sampled_from([Verdict.VIOLATED, Verdict.WAIVED]))
    def judged_in_full(self, check_id: str, found: set[str], verdict: Verdict) -> None:
        """Findings that are not found again heal."""
        self._run(check_id, verdict, found)
        self._see(check_id, found)
        self._heal(check_id, found)

    @rule(check_id=checks)
    def holds(self, check_id: str) -> None:
        """All findings of the check heal."""
        self._run(check_id, Verdict.HOLDS, set())
        self._heal(check_id, set())

    @rule(check_id=checks, found=keys.filter(bool))
    def found_more_than_it_lists(self, check_id: str, found: set[str]) -> None:
        """A truncated list of findings heals nothing."""
        self._run(check_id, Verdict.VIOLATED, found, total=len(found) + 1)
        self._see(check_id, found)

    @rule(check_id=checks, found=keys.filter(bool))
    def could_not_know_in_part(self, check_id: str, found: set[str]) -> None:
        """If one of several proofs is inconclusive, nothing heals."""
        self._run(check_id, Verdict.VIOLATED, found, partial=True)
        self._see(check_id, found)

    @rule(check_id=checks, verdict=st.sampled_from([Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE]))
    def not_judged(self, check_id: str, verdict: Verdict) -> None:
        """An inconclusive run heals nothing."""
        self._run(check_id, verdict, set())

    @invariant()
    def agrees_with_the_model(self) -> None:
        """Every finding has the expected state and number of occurrences."""
        stored = [item for state in FindingState for item in self.history.findings(state)]
        assert {(item.check_id, item.raw_key): [item.state, item.times_seen] for item in stored} == self.model
        assert all((item.healed_at is not None) is (item.state is FindingState.HEALED) for item in stored)


TestFindingsOverTime = FindingsOverTime.TestCase
TestFindingsOverTime.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


def test_changes_list_new_persisting_and_healed_findings(history: History) -> None:
    """A check that is committed twice in one run counts once."""
    a, b, c = (finding(history, key) for key in "abc")
    with history.lock():
        history.begin("r1", "cutover", START)
        assert history.record(violated([a, b])) == Changes(new=(a.fingerprint, b.fingerprint))
        assert history.record(violated([a, b])) == Changes(new=(a.fingerprint, b.fingerprint))
        history.finish(result("r1"))
        history.begin("r2", "cutover", at(1))
        changes = history.record(violated([b, c], ended_at=at(2)))
        assert changes == Changes(new=(c.fingerprint,), persisting=(b.fingerprint,), healed=(a.fingerprint,))
    by_key = {item.raw_key: item for state in FindingState for item in history.findings(state)}
    assert {key: item.times_seen for key, item in by_key.items()} == {"a": 1, "b": 2, "c": 1}
    assert (by_key["a"].healed_at, by_key["b"].first_seen_at, by_key["b"].last_seen_at) == (at(2), START, at(2))


def test_checks_that_did_not_run_heal_nothing(history: History) -> None:
    """`--only` and an interrupted run do not change the findings of other checks."""
    one_run(history, "r1", violated([finding(history, "a")]))
    one_run(history, "r2", outcome(check_id="MSG-01"))
    assert [item.state for item in history.findings()] == [FindingState.NEW]


@pytest.mark.parametrize("count", [1, 499, 1201])
def test_many_findings_of_one_check(history: History, count: int) -> None:
    """Findings in more than one batch are new, then persisting, then healed."""
    findings = [finding(history, f"u{number}") for number in range(count)]
    one_run(history, "r1", violated(findings))
    one_run(history, "r2", violated(findings))
    assert {item.state for item in history.findings()} == {FindingState.PERSISTING}
    assert len(history.findings()) == count
    one_run(history, "r3", outcome())
    assert history.findings() == []


def test_a_baseline_changes_no_finding(history: History) -> None:
    """A baseline judges nothing, so nothing heals."""
    one_run(history, "r1", violated([finding(history, "a")]))
    with history.lock():
        history.begin("r2", "cutover", at(1), kind=RunKind.BASELINE)
        history.commit_check(outcome(Verdict.NOT_APPLICABLE), {"slot": {"n": 1}})
    assert len(history.findings()) == 1
    assert history.watermark("USR-01", "slot") == {"n": 1}
