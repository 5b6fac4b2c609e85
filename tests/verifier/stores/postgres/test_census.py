"""The census of a table distinguishes new rows from changed ones."""

from __future__ import annotations

import pytest

from tests.verifier.stores.postgres.world import INSERT, PostgresWorld, members
from verifier.model.verdict import Verdict
from verifier.stores.postgres import census as postgres_census
from verifier.stores.postgres.observer import PostgresObserver

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("asked", ["insert", "update"])
async def test_new_and_changed_rows_are_distinguished_among_neighbours(postgres: PostgresWorld, asked: str) -> None:
    """Writes of neighbours move every counter; only the earlier existence of the key decides."""
    async with postgres.nights(operations=frozenset({asked}), neighbours=frozenset({"support"})) as nights:
        postgres.write(INSERT + "(999, 'support', now())", "UPDATE members SET role = 7 WHERE id = 999")
        quiet = await nights.night()
        postgres.write(INSERT + "(1000, 'moved', '2020-01-01'), (1001, 'support', now())")
        postgres.write("UPDATE members SET role = 1 WHERE id IN (20, 999)")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert [finding.key for finding in loud.findings] == (["1000"] if asked == "insert" else ["20"])


async def test_a_row_that_changes_during_the_census_stays_known(postgres: PostgresWorld) -> None:
    """Its version becomes younger than the snapshot. A row that did not exist before does not become known."""
    async with postgres.store() as store:
        observer = PostgresObserver(store, members(), (), flush_s=0.1)
        before = await observer.census(await observer.read(), None)
        now = await observer.read()
        postgres.write("UPDATE members SET role = 1 WHERE id = 20", INSERT + "(1000, 'moved', now())")
        after = await observer.census(now, before)
        marks = {item.key: item.mark async for item in observer.witnesses(now, await observer.read())}
    assert set(marks) == {"20", "1000"}
    assert before.known == after.known
    assert after.known is not None
    assert marks["20"] in after.known
    assert marks["1000"] not in after.known


async def test_without_a_census_a_write_in_scope_is_inconclusive(
    postgres: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a table that is too large, silence holds with a note, and a write is inconclusive where its kind matters."""
    monkeypatch.setattr(postgres_census, "CENSUS_MAX", 39)
    async with postgres.nights(neighbours=frozenset({"support"})) as nights:
        quiet = await nights.night()
        postgres.write("UPDATE members SET role = 1 WHERE id = 20")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS
    assert "whether a row is new or changed (over 39 rows)" in " ".join(quiet.notes)
    assert loud.verdict is Verdict.INCONCLUSIVE
    assert "new or changed" in loud.reason
