"""The history, on each database that it supports."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.verifier.history.samples import START, at, finding, one_run, outcome, result, violated
from verifier.history import AmbiguousFingerprint, FindingState, History, HistoryError, RunKind, RunState
from verifier.history.retention import prune
from verifier.model.verdict import Verdict

pytestmark = pytest.mark.long

HOSTILE = [
    "a_b%c",
    "with:colons and spaces",
    "emoji 👩‍🚀",
    "nul \0 inside",
    "half a surrogate \udc80",
    "x" * 1_000_000,
    "'; --",
]


def test_a_stored_run_equals_the_recorded_run(history: History) -> None:
    """Verdicts, coverage, findings, notes and reads are stored and loaded unchanged."""
    judged = (outcome(check_id="USR-08"), violated([finding(history, "u1")]))
    one_run(history, "r1", *judged)
    stored = history.result("r1")
    assert stored is not None
    assert [item.check_id for item in stored.outcomes] == ["USR-08", "USR-01"]
    assert stored.outcomes[0] == judged[0]
    assert stored.outcomes[1].judgement.findings[0].fingerprint == judged[1].judgement.findings[0].fingerprint
    assert (stored.notes, stored.reads, stored.interrupted) == (("a note",), {"user_db": 7}, False)
    assert history.result("unknown") is None


def test_run_summaries_hold_only_numbers_newest_first(history: History) -> None:
    """Summaries count verdicts and contain nothing of a finding."""
    with history.lock():
        for number in range(3):
            history.begin(f"r{number}", "cutover", at(number))
            history.record(violated([finding(history, "alice")]))
            history.record(outcome(check_id="USR-08"))
            history.finish(result(f"r{number}", ended_at=at(number + 0.5)))
    runs = history.runs(limit=2)
    assert [run.run_id for run in runs] == ["r2", "r1"]
    assert runs[0].counts == {Verdict.VIOLATED: 1, Verdict.HOLDS: 1}
    assert runs[0].duration_s == 30
    assert "alice" not in repr(history.runs())


def test_a_run_that_never_finished_is_interrupted(history: History) -> None:
    """Its state is running while the lock is held, then interrupted. Its verdicts are kept."""
    with history.lock():
        history.begin("r1", "cutover", START)
        history.record(outcome(ended_at=at(1)))
        assert history.runs()[0].state is RunState.RUNNING
    run = history.runs()[0]
    assert (run.state, run.ended_at, run.count(Verdict.HOLDS)) == (RunState.INTERRUPTED, at(1), 1)
    stored = history.result("r1")
    assert stored is not None
    assert stored.interrupted
    assert len(stored.outcomes) == 1


def test_an_interrupted_result_is_stored_as_interrupted(history: History) -> None:
    """`finish` with an interrupted result does not set the state to finished."""
    with history.lock():
        history.begin("r1", "cutover", START)
        history.finish(result("r1", interrupted=True))
    assert history.runs()[0].state is RunState.INTERRUPTED


def test_a_what_if_run_stores_only_verdicts(history: History) -> None:
    """A what-if run changes neither findings nor watermarks nor positions."""
    one_run(history, "r1", violated([finding(history, "u1")]))
    with history.lock():
        history.begin("r2", "frozen", START, kind=RunKind.WHAT_IF)
        history.commit_check(outcome(), {"counter": {"n": 1}}, [("table", START, "7")])
        history.finish(result("r2"))
    assert [item.state for item in history.findings()] == [FindingState.NEW]
    assert history.watermark("USR-01", "counter") is None
    assert history.positions("table") == []
    assert history.runs()[0].kind is RunKind.WHAT_IF


def test_watermarks_and_positions_are_committed_with_the_verdict(history: History) -> None:
    """They are keyed by (stack, check, slot) and can be deleted by check."""
    with history.lock():
        history.begin("r1", "cutover", START)
        history.commit_check(outcome(), {"a": {"n": 1}, "b": {"n": 2}}, [("table", START, "7")])
        history.commit_check(outcome(check_id="MSG-01"), {"a": {"n": 3}})
        history.commit_check(outcome(), {"a": {"n": 4}})
    assert history.watermark("USR-01", "a") == {"n": 4}
    assert [(item.check_id, item.slot, item.taken_at) for item in history.watermarks()] == [
        ("MSG-01", "a", START),
        ("USR-01", "a", START),
        ("USR-01", "b", START),
    ]
    assert history.positions("table") == [(START, "7")]
    assert history.forget_watermarks(["USR-01"]) == 2
    assert history.watermark("USR-01", "a") is None
    assert history.watermark("MSG-01", "a") == {"n": 3}
    assert history.forget_watermarks() == 1
    history.forget_positions("table")
    assert history.positions("table") == []


def test_stacks_do_not_see_each_other(place: str, request: pytest.FixtureRequest) -> None:
    """Two stacks in one database are separate."""
    names = [f"{request.node.nodeid} {letter}" for letter in "ab"]
    with History.open(place, stack=names[0]) as one, History.open(place, stack=names[1]) as two:
        with one.lock(), two.lock():
            for history in (one, two):
                history.begin("r1", "cutover", START)
            one.commit_check(violated([finding(one, "u1")]), {"a": {}})
        assert (len(one.findings()), len(two.findings())) == (1, 0)
        assert two.watermarks() == []
        assert two.runs()[0].counts == {}


@pytest.mark.parametrize("raw_key", HOSTILE, ids=lambda key: ascii(key[:12]))
def test_any_raw_key_is_stored_unchanged(history: History, raw_key: str) -> None:
    """The raw key is loaded exactly as it was stored, whatever characters it holds; the displayed key is escaped."""
    one_run(history, "r1", violated([finding(history, raw_key)]))
    stored = history.finding(history.fingerprint("USR-01", raw_key)[:8])
    assert stored is not None
    assert stored.raw_key == raw_key
    assert stored.finding.raw_key == raw_key
    assert "\0" not in stored.finding.key
    assert len(stored.finding.key) < 5000


def test_fingerprints_are_stable_and_keyed(history: History) -> None:
    """The same breach has the same fingerprint; another database gives another one, so keys cannot be looked up."""
    name = history.fingerprint("USR-01", "u1")
    assert len(name) == 16
    assert name == history.fingerprint("USR-01", "u1")
    assert len({name, history.fingerprint("USR-02", "u1"), history.fingerprint("USR-01", "u2")}) == 3
    with History.open("memory:", stack=history.stack) as other:
        assert other.fingerprint("USR-01", "u1") != name


def test_a_fingerprint_prefix_finds_one_finding_or_raises(history: History) -> None:
    """An unknown prefix gives None; an ambiguous or malformed one raises."""
    found = [finding(history, f"u{number}") for number in range(40)]
    one_run(history, "r1", violated(found))
    exact = history.finding(found[0].fingerprint.upper())
    assert exact is not None
    assert exact.raw_key == "u0"
    # 40 names share 16 first digits.
    shared = Counter(item.fingerprint[0] for item in found).most_common(1)[0][0]
    with pytest.raises(AmbiguousFingerprint, match="Give more characters"):
        history.finding(shared)
    for nonsense in ("", "xyz", "%", "0" * 17):
        with pytest.raises(HistoryError, match="not a fingerprint"):
            history.finding(nonsense)
    unused = next(name for name in (f"{n:016x}" for n in range(100)) if name not in {f.fingerprint for f in found})
    assert history.finding(unused) is None


def test_secrets_do_not_reach_the_database(history: History) -> None:
    """A token or password in a finding is redacted before it is stored."""
    leaking = finding(
        history, "u1", summary="token eyJhbGciOiJIUzI1NiJ9.eyJVc2VySUQiOiJ1MSJ9.c2ln, postgresql://a:hunter2@h/db"
    )
    one_run(history, "r1", violated([leaking]))
    everything = f"{history.findings()!r} {history.findings()[0].finding!r} {history.result('r1')!r}"
    assert "[hidden]" in everything
    assert "eyJ" not in everything
    assert "hunter2" not in everything


def test_recheck_touches_one_finding(history: History) -> None:
    """A recheck heals or updates that finding and no other."""
    found = [finding(history, "u1"), finding(history, "u2")]
    one_run(history, "r1", violated(found))
    history.rechecked(found[0].fingerprint, None, at(5))
    history.rechecked(found[1].fingerprint, finding(history, "u2", summary="still missing"), at(6))
    healed, there = history.findings(FindingState.HEALED), history.findings()
    assert [(item.raw_key, item.healed_at) for item in healed] == [("u1", at(5))]
    assert [(item.raw_key, item.finding.summary, item.last_seen_at) for item in there] == [
        ("u2", "still missing", at(6))
    ]
    assert there[0].times_seen == 1


def test_recording_needs_the_lock_and_a_run(history: History) -> None:
    """Recording needs an open run, starting a run needs the lock, and a run ID is used once."""
    with pytest.raises(HistoryError, match="lock"):
        history.begin("r1", "cutover", START)
    with history.lock():
        with pytest.raises(HistoryError, match="begin"):
            history.record(outcome())
        history.begin("r1", "cutover", START)
        history.finish(result("r1"))
        with pytest.raises(HistoryError, match="already"):
            history.begin("r1", "cutover", START)
    with pytest.raises(HistoryError, match="begin"):
        history.record(outcome())


def test_old_runs_are_pruned(history: History) -> None:
    """Pruning keeps the newest runs, open findings, and findings that healed since those runs."""
    with history.lock():
        for number, outcomes in enumerate(
            [
                [violated([finding(history, "old"), finding(history, "open")], ended_at=at(0))],
                [violated([finding(history, "open")], ended_at=at(1))],
                [],
                [],
            ]
        ):
            history.begin(f"r{number}", "cutover", at(number))
            for item in outcomes:
                history.record(item)
            history.finish(result(f"r{number}"))
    with history._database.write() as connection:
        prune(connection, history.stack, keep_runs=2)
    assert [run.run_id for run in history.runs()] == ["r3", "r2"]
    assert history.result("r0") is None
    assert [item.raw_key for item in history.findings()] == ["open"]
    assert history.findings(FindingState.HEALED) == []


def test_positions_are_thinned_out(history: History) -> None:
    """Three days of half-hourly positions are thinned out; the newest is kept."""
    for number in range(150):
        history.add_position("table", START + timedelta(minutes=30 * number), str(number))
    kept = history.positions("table")
    assert kept[-1][1] == "149"
    assert kept == sorted(kept)
    assert 40 < len(kept) < 60
