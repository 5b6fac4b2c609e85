"""A walk resumes after its last checkpoint, with the same result as a walk that was not interrupted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.verifier.history.samples import START
from verifier.checks.registry import Check
from verifier.history import History
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.model.verdict import Judgement
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
    """Stands for SIGKILL: nothing catches it."""


class Table:
    """An ordered source that raises KilledError after `dies_after` chunks."""

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
    """Stores with one table."""

    def __init__(self, profile: Profile, table: Table) -> None:
        super().__init__(profile)
        self._table = table

    async def source(self, rows: Rows) -> Any:
        """The table."""
        return self._table

    async def clock_of(self, relation: str) -> Any:
        """The local clock."""

        async def clock() -> datetime:
            return datetime.now(UTC)

        return clock


class Eager(Checkpoints):
    """Saves at every call, without a limit on cost."""

    def save(self, check_id: str, slot: str, make: Callable[[], Mapping[str, Any]]) -> bool:
        """Save."""
        self._store.save_checkpoint(check_id, slot, make())
        self.written += 1
        return True


def judge(row: Row) -> Problem | None:
    """The numbers in BAD are problems."""
    if row["number"] not in BAD:
        return None
    return Problem(summary=f"{row['number']} is bad", expected="good", actual="bad")


PROFILE = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n')
RULE = Rule(subject=Rows("numbers", ("number",)), judge=judge, unit="numbers")


def context(history: History, table: Table) -> Context:
    """A context with checkpoints."""
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
    """The event loop of the verifier."""
    return "asyncio"


async def _walk(history: History, table: Table, rule: Rule = RULE) -> Judgement:
    return await rule.execute(context(history, table))


@pytest.mark.anyio
@pytest.mark.parametrize("dies_after", [0, 1, 30, 99])
async def test_a_walk_resumes_after_its_last_chunk(history: History, dies_after: int) -> None:
    """No row is read twice, and counts and findings equal those of an uninterrupted walk."""
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
async def test_a_complete_walk_is_not_read_again(history: History) -> None:
    """Killed before the second pass, it resumes with the second pass."""

    class Dying(Table):
        async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
            if len(values) == len(BAD):  # the second pass; in the first one, each chunk has one suspect
                raise KilledError
            return await super().lookup(column, values)

    with pytest.raises(KilledError):
        await _walk(history, Dying())
    again = Table()
    judgement = await _walk(history, again)
    assert again.read == []
    assert (judgement.coverage[0].seen, len(judgement.findings)) == (ROWS, len(BAD))


@pytest.mark.anyio
async def test_a_walk_over_an_unordered_source_restarts(history: History) -> None:
    """A cursor is not valid in another process: everything is read again and nothing is counted twice."""
    with pytest.raises(KilledError):
        await _walk(history, Table(50, ordered=False))
    again = Table(ordered=False)
    judgement = await _walk(history, again)
    assert again.read == list(range(ROWS))
    assert (judgement.coverage[0].seen, len(judgement.findings)) == (ROWS, len(BAD))


@pytest.mark.anyio
async def test_another_proof_restarts(history: History) -> None:
    """A checkpoint is only used for the proof that it was saved for."""
    with pytest.raises(KilledError):
        await _walk(history, Table(50))
    again = Table()
    await _walk(history, again, replace(RULE, statement="another"))
    assert again.read == list(range(ROWS))


@pytest.mark.anyio
async def test_a_checkpoint_holds_only_keys_and_digests(history: History) -> None:
    """It holds no other value of a record."""
    with pytest.raises(KilledError):
        await _walk(history, Table(50))
    raw = history.checkpoint("X-NUM", "walk 0")
    assert raw is not None
    assert "bad" not in json.dumps(raw)
    assert [item[0] for item in raw["suspects"]] == [["3"], ["222"], ["444"]]
    assert all(len(item[1]) == 16 for item in raw["suspects"])


def test_checkpoints_take_at_most_their_share_of_the_time() -> None:
    """If saving takes 50 ms, a checkpoint is saved about every 2.5 s, however often `save` is called."""
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
