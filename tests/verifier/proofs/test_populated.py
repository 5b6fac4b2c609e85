"""Relations that must not be empty: beside another one that has records, or because they had some in an earlier run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.verifier.proofs.world import Counted, Table, World
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Verdict
from verifier.proofs import Populated
from verifier.proofs.populated import within
from verifier.stores.protocols import Completeness

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


def empty(row: Row) -> Problem:
    """The problem of an empty relation."""
    return Problem(summary=f"empty beside {row.get('id')}", expected="records", actual="none")


def cache_beside_sessions(**more: Any) -> Populated:
    """The cache must have records while there are sessions."""
    return Populated(
        subject=Rows("cache"), beside=Rows("sessions"), judge=empty, unit="keys", others="sessions",
        doubt="nobody signed in lately", **more,
    )  # fmt: skip


async def test_an_empty_relation_is_a_breach_beside_one_with_records() -> None:
    """One finding, however many records the other side has; with a single record here it holds."""
    sessions = Table([{"id": number} for number in range(20)])
    found = await World(cache=Table([]), sessions=sessions).run(cache_beside_sessions())
    assert found.verdict is Verdict.VIOLATED
    assert [item.summary for item in found.findings] == ["empty beside 0"]
    held = await World(cache=Table([{"id": 1}]), sessions=sessions).run(cache_beside_sessions())
    assert held.verdict is Verdict.HOLDS
    assert sessions.readings == 2  # up to the first record, and again for the second pass


async def test_two_empty_relations_are_not_applicable() -> None:
    """Where nobody is signed in, an empty cache says nothing."""
    found = await World(cache=Table([]), sessions=Table([])).run(cache_beside_sessions())
    assert found.verdict is Verdict.NOT_APPLICABLE
    assert found.reason.startswith("empty")


async def test_records_that_do_not_count_make_it_inconclusive() -> None:
    """With sessions that are too old to be cached, the reason says so."""
    old = {"id": 1, "at": datetime.now(UTC) - timedelta(hours=2)}
    world = World(cache=Table([]), sessions=Table([old, {"id": 2, "at": None}]))
    found = await world.run(cache_beside_sessions(counts=within(3_600, "at")))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "nobody signed in lately" in found.reason
    assert within(None, "at") is None


async def test_a_relation_that_is_filled_meanwhile_holds() -> None:
    """The second pass sees the keys that the next calls wrote."""

    def fill(table: Counted) -> Completeness:
        table.rows.append({"id": 1})
        return Completeness()

    world = World(cache=Counted([], account=fill), sessions=Table([{"id": 1}]))
    assert (await world.run(cache_beside_sessions())).verdict is Verdict.HOLDS


async def test_sessions_that_end_meanwhile_make_it_inconclusive() -> None:
    """Then it is not known whether the cache was wrong."""
    sessions = Table([{"id": 1}])

    def end(_table: Counted) -> Completeness:
        if sessions.readings:
            sessions.rows.clear()
        return Completeness()

    world = World(cache=Counted([], account=end), sessions=sessions)
    found = await world.run(cache_beside_sessions())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "ended while this was confirmed" in found.reason


@pytest.mark.parametrize(
    ("account", "word"),
    [(Completeness(hidden=("row-level security",)), "row-level security"), (Completeness(counted=7), "counts 7")],
)
async def test_an_empty_reading_that_hides_records_is_inconclusive(account: Completeness, word: str) -> None:
    """What the credential does not see may be there."""
    cache = Counted([], account=lambda table: account)
    found = await World(cache=cache, sessions=Table([{"id": 1}])).run(cache_beside_sessions())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert word in found.reason


async def test_what_had_records_must_keep_some() -> None:
    """Without another relation the earlier runs decide; a new baseline accepts that it is empty."""
    table = Table([])
    world, proof = World(kept=table), Populated(subject=Rows("kept"), judge=empty, unit="rows")
    assert proof.takes_baseline
    assert not cache_beside_sessions().takes_baseline
    assert (await world.run(proof)).verdict is Verdict.NOT_APPLICABLE
    table.rows = [{"id": 1}]
    assert (await world.run(proof)).verdict is Verdict.HOLDS
    table.rows = []
    assert (await world.run(proof)).verdict is Verdict.VIOLATED
    assert (await world.run(proof)).verdict is Verdict.VIOLATED
    await world.run(proof, baselining=True)
    assert (await world.run(proof)).verdict is Verdict.NOT_APPLICABLE
