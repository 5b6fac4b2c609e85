"""Resuming in the middle: a walk goes on behind its last checkpoint, and what it had seen before counts as if it had never stopped."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.verifier.history.samples import START, finding, one_run, outcome, result, violated
from verifier.checks.registry import Check
from verifier.engine.plan import Plan
from verifier.engine.resume import plan_document, resume_note, why_not
from verifier.history import FindingState, History, HistoryError, RunKind, RunState
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.model.verdict import Judgement, Verdict
from verifier.profile import Profile, parse_profile
from verifier.proofs import Rule
from verifier.proofs.checkpoints import COST_SHARE, Checkpoints
from verifier.proofs.context import Context
from verifier.proofs.scope import Scope
from verifier.stores.pool import Stores

ROWS = 1000
CHUNK = 10
BAD = {3, 222, 444, 999}


class KilledError(BaseException):
    """What stands for SIGKILL: nothing catches it."""


class Table:
    """An ordered source that dies after so many chunks."""

    label, key, queries = "numbers", ("number",), ("SELECT …",)

    def __init__(self, dies_after: int | None = None, *, ordered: bool = True) -> None:
        self.position: str | None = None
        self.read: list[int] = []
        self._dies_after = dies_after
        self._ordered = ordered

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """In the order of the numbers."""
        first = 0 if after is None else int(after) + 1
        for count, start in enumerate(range(first, ROWS, CHUNK)):
            if self._dies_after is not None and count >= self._dies_after:
                raise KilledError
            numbers = range(start, min(start + CHUNK, ROWS))
            self.position = str(numbers[-1]) if self._ordered else None
            self.read += numbers
            yield [{"number": number} for number in numbers]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """By number."""
        return [{"number": int(value)} for value in values]


class OneTable(Stores):
    """Stores that know this table alone."""

    def __init__(self, profile: Profile, table: Table) -> None:
        super().__init__(profile)
        self._table = table

    async def source(self, rows: Rows) -> Any:
        """The table."""
        return self._table

    async def clock_of(self, relation: str) -> Any:
        """Ours."""

        async def clock() -> datetime:
            return datetime.now(UTC)

        return clock


class Eager(Checkpoints):
    """Writes whenever it is asked: tests do not wait for a share of the time."""

    def save(self, check_id: str, slot: str, make: Callable[[], Mapping[str, Any]]) -> bool:
        """Write."""
        self._store.save_checkpoint(check_id, slot, make())
        self.written += 1
        return True


def judge(row: Row) -> Problem | None:
    """Some numbers are bad."""
    if row["number"] not in BAD:
        return None
    return Problem(summary=f"{row['number']} is bad", expected="good", actual="bad")


PROFILE = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n')
RULE = Rule(subject=Rows("numbers", ("number",)), judge=judge, unit="numbers")


def context(history: History, table: Table) -> Context:
    """Surroundings with checkpoints."""
    stores = OneTable(PROFILE, table)
    item = Check(
        id="X-NUM", title="t", severity=Severity.HIGH, phase=Phase.BASELINE, until=Phase.DECOMMISSIONED, row="r", why="w",
        build=lambda profile: RULE,
    )  # fmt: skip
    return Context(
        check_id=item.id, severity=item.severity, profile=PROFILE, phase=Phase.BASELINE, stores=stores, scope=Scope(PROFILE, Phase.BASELINE, stores),
        memory=history, progress=lambda done, total, unit: None, checkpoints=Eager(history),
    )  # fmt: skip


@pytest.fixture
def history() -> Iterator[History]:
    """A history with an open run."""
    with History.open("memory:", stack="s") as opened, opened.lock():
        opened.begin("r1", "baseline", START, plan={})
        yield opened


@pytest.fixture
def anyio_backend() -> str:
    """The loop that the verifier runs on."""
    return "asyncio"


async def _walk(history: History, table: Table, rule: Rule = RULE) -> Judgement:
    return await rule.execute(context(history, table))


@pytest.mark.anyio
@pytest.mark.parametrize("dies_after", [0, 1, 30, 99])
async def test_a_walk_goes_on_behind_its_last_chunk(history: History, dies_after: int) -> None:
    """No row is read twice, and counts and findings, first sightings included, are those of a walk that nobody stopped."""
    first, second = Table(dies_after), Table()
    with pytest.raises(KilledError):
        await _walk(history, first)
    judgement = await _walk(history, second)
    assert first.read + second.read == list(range(ROWS))
    assert judgement.coverage[0].seen == ROWS
    whole = await RULE.execute(replace(context(history, Table()), checkpoints=None))
    assert [item.fingerprint for item in judgement.findings] == [item.fingerprint for item in whole.findings]
    assert len(judgement.findings) == len(BAD)


@pytest.mark.anyio
async def test_a_walk_that_was_complete_is_not_read_again(history: History) -> None:
    """Killed while it waited for the second look, it goes on with the second look."""

    class Dying(Table):
        async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
            raise KilledError

    with pytest.raises(KilledError):
        await _walk(history, Dying())
    again = Table()
    judgement = await _walk(history, again)
    assert again.read == []
    assert (judgement.coverage[0].seen, len(judgement.findings)) == (ROWS, len(BAD))


@pytest.mark.anyio
async def test_a_walk_without_an_order_begins_anew(history: History) -> None:
    """A cursor means nothing to another process: everything is read again, nothing is counted twice."""
    with pytest.raises(KilledError):
        await _walk(history, Table(50, ordered=False))
    again = Table(ordered=False)
    judgement = await _walk(history, again)
    assert again.read == list(range(ROWS))
    assert (judgement.coverage[0].seen, len(judgement.findings)) == (ROWS, len(BAD))


@pytest.mark.anyio
async def test_another_question_begins_anew(history: History) -> None:
    """A position belongs to the question that it was taken for."""
    with pytest.raises(KilledError):
        await _walk(history, Table(50))
    again = Table()
    await _walk(history, again, replace(RULE, statement="another"))
    assert again.read == list(range(ROWS))


@pytest.mark.anyio
async def test_a_checkpoint_holds_keys_and_digests_alone(history: History) -> None:
    """No value of a record is written down, and it is small."""
    with pytest.raises(KilledError):
        await _walk(history, Table(50))
    raw = history.checkpoint("X-NUM", "walk 0")
    assert raw is not None
    assert "bad" not in json.dumps(raw)
    assert [json.loads(item[0])[1] for item in raw["suspects"]] == ["3", "222", "444"]
    assert all(len(item[1]) == 16 for item in raw["suspects"])


def test_checkpoints_cost_their_share_and_no_more() -> None:
    """A disk of 50 ms gets one every two and a half seconds, whoever asks how often."""
    now = [0.0]

    class Slow:
        def checkpoint(self, check_id: str, slot: str) -> None:
            return None

        def save_checkpoint(self, *_: Any, **__: Any) -> None:
            now[0] += 0.05

    checkpoints = Checkpoints(Slow(), clock=lambda: now[0])
    for _ in range(60_000):
        now[0] += 0.001
        checkpoints.save("X-1", "walk 0", dict)
    assert checkpoints.spent_s <= COST_SHARE * now[0] * 1.01
    assert 15 <= checkpoints.written <= 30


# -- the history --


def test_what_was_judged_stays_judged_and_checkpoints_go_with_their_check() -> None:
    """A run that was cut short is found, taken up under its own id, and ends as one run."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", START, plan={"checks": ["USR-01", "X-1"]})
            found = violated([finding(history, "u1")])
            history.save_checkpoint("USR-01", "walk 0", {"position": "5"}, reads={"user_db": 4})
            history.commit_check(found, {}, reads={"user_db": 7})
            history.save_checkpoint("X-1", "walk 0", {"position": "9"})
        with history.lock():
            cut = history.interrupted_run()
            assert cut is not None
            assert (cut.run_id, cut.judged, cut.resumed, cut.plan["checks"]) == ("r1", 1, 0, ["USR-01", "X-1"])
            before = history.result("r1")
            assert before is not None
            assert before.reads == {"user_db": 7}
            history.resume("r1")
            assert [(run.run_id, run.state) for run in history.runs()] == [("r1", RunState.RUNNING)]
            assert history.checkpoint("USR-01", "walk 0") is None
            assert history.checkpoint("X-1", "walk 0") == {"position": "9"}
            history.record(found)
            history.finish(replace(result("r1", [found]), ended_at=START + timedelta(minutes=1)))
        assert [run.state for run in history.runs()] == [RunState.FINISHED]
        assert [(item.times_seen, item.state) for item in history.findings()] == [(1, FindingState.NEW)]
        with history.lock():
            assert history.interrupted_run() is None


@pytest.mark.parametrize("kind", [RunKind.RUN, RunKind.BASELINE])
def test_only_the_newest_run_can_be_resumed(kind: RunKind) -> None:
    """A later run or baseline has moved on what is remembered; a what-if has not."""
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "cutover", START, plan={})
        with history.lock():
            history.begin("w", "frozen", START + timedelta(seconds=1), kind=RunKind.WHAT_IF)
            history.finish(result("w"))
        with history.lock():
            assert history.interrupted_run() is not None
            history.begin("r2", "cutover", START + timedelta(seconds=2), kind=kind)
            history.finish(result("r2"))
        with history.lock():
            assert history.interrupted_run() is None


def test_why_a_run_cannot_be_resumed() -> None:
    """Another profile, other checks, too long ago; a changed budget or pause file does not matter."""
    plan = Plan(phase=Phase.BASELINE, checks=())
    document = plan_document(PROFILE, plan)
    with History.open("memory:", stack="s") as history:
        with history.lock():
            history.begin("r1", "baseline", START, plan=document)
        with history.lock():
            cut = history.interrupted_run()
    assert cut is not None
    assert why_not(None, document, START, 60) == "nothing to resume: the last run of this stack has its end"
    assert why_not(cut, document, START, 60) is None
    told = why_not(cut, {**document, "checks": ["USR-01"], "profile": "x"}, START, 60)
    assert told == "run r1 was cut short and cannot be resumed: other checks were chosen, the profile has changed"
    assert "timing.resume_within_s" in (why_not(cut, document, START + timedelta(minutes=2), 60) or "")
    paced = parse_profile(
        'stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\npause_file = "p"\n[gate]\ngreens = 5\n[roles]\n'
    )
    assert plan_document(paced, plan) == document
    slower = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 9\n[roles]\n')
    assert plan_document(slower, plan) != document
    assert "0 of 3 checks were judged" in resume_note(cut, 3)


def test_a_history_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """Runs, findings and the key of the fingerprints stay; resuming and accepting work; a third version is refused."""
    path = tmp_path / "history.db"
    with History.open(str(path), stack="s") as history:
        one_run(history, "r1", violated([finding(history, "u1")]), outcome(Verdict.HOLDS, check_id="X-1"))
        name = history.fingerprint("USR-01", "u1")
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("run_plans", "checkpoints", "accepted"):
            connection.execute(f"DROP TABLE verifier_{table}")
        connection.execute("UPDATE verifier_meta SET value = '1' WHERE name = 'schema_version'")
    for _ in range(2):
        with History.open(str(path), stack="s") as history:
            assert history.fingerprint("USR-01", "u1") == name
            assert [run.run_id for run in history.runs()] == ["r1"]
            assert len(history.findings()) == 1
            assert history.accepted() == frozenset()
            assert history.judged_ever() == {"USR-01", "X-1"}
            with history.lock():
                assert history.interrupted_run() is None
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE verifier_meta SET value = '3' WHERE name = 'schema_version'")
    with pytest.raises(HistoryError, match="newer version"):
        History.open(str(path), stack="s")
