"""Clashes are found and confirmed whatever the key is; what may be hidden, or is not answered for, makes it inconclusive."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verifier.proofs.world import Counted, Table, World
from verifier.model.invariant import Problem
from verifier.model.query import Rows
from verifier.model.verdict import Verdict
from verifier.proofs import Unique
from verifier.stores.protocols import Completeness

pytestmark = pytest.mark.anyio

PROOF = Unique(
    subject=Rows("users", ("name",)),
    value=lambda row: row["name"],
    judge=lambda rows: Problem(summary=f"{len(rows)} clash", expected="one", actual=str(len(rows))),
    unit="users",
)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


def rows(*pairs: tuple[Any, str | None]) -> list[dict[str, Any]]:
    """Users by id and name."""
    return [{"id": key, "name": name} for key, name in pairs]


CLASHING = rows((1, "a"), (2, "b"), (3, "a"), (4, None), (5, None))


@pytest.mark.parametrize("works", [True, False], ids=["found by key", "not found by key"])
async def test_a_clash_is_confirmed(works: bool) -> None:
    """Where look-ups by key find nothing, the relation is read again."""
    table = Table(list(CLASHING), finds=lambda stored, wanted: works and stored == wanted)
    judgement = await World(users=table).run(PROOF)
    assert judgement.verdict is Verdict.VIOLATED
    assert judgement.findings_total == 1
    assert table.readings == (2 if works else 3)


@pytest.mark.parametrize("works", [True, False], ids=["found by key", "not found by key"])
async def test_a_clash_that_is_gone_has_healed(works: bool) -> None:
    """One of the two took another name before the second pass."""
    table = Table(list(CLASHING), finds=lambda stored, wanted: works and stored == wanted)
    table.before_lookup = lambda store: store.rows.pop(2) if len(store.lookups) == 1 else None  # type: ignore[assignment]
    if not works:
        table.before_lookup = lambda store: store.rows.pop(2) if not store.lookups else None  # type: ignore[assignment]
    assert (await World(users=table).run(PROOF)).verdict is Verdict.HOLDS


async def test_a_clash_that_is_not_answered_for_is_unresolved() -> None:
    """The store falls silent about one of the records in the second pass."""
    table = Table(list(CLASHING))

    def fall_silent(store: Table) -> None:
        store.unanswered = frozenset({3}) if store.lookups else frozenset()

    table.before_lookup = fall_silent
    judgement = await World(users=table).run(PROOF)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "1 groups" in judgement.reason


@pytest.mark.parametrize("account", [Completeness(counted=9), Completeness(hidden=("RLS",))])
async def test_hidden_records_may_clash(account: Completeness) -> None:
    """It does not hold; and what clashes visibly is violated all the same."""
    table = Counted(rows((1, "a"), (2, "b")), account=lambda table: account)
    assert (await World(users=table).run(PROOF)).verdict is Verdict.INCONCLUSIVE
    table.rows = list(CLASHING)
    judgement = await World(users=table).run(PROOF)
    assert (judgement.verdict, judgement.partial) == (Verdict.VIOLATED, True)


async def test_a_record_that_a_scan_returns_twice_clashes_with_nothing() -> None:
    """Its key is the same."""

    class Scan(Table):
        async def chunks(self) -> Any:
            yield [*self.rows, *self.rows]

    assert (await World(users=Scan(rows((1, "a"), (b"\xff", "b")))).run(PROOF)).verdict is Verdict.HOLDS
