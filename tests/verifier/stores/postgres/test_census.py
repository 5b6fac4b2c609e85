"""The census of a table distinguishes new rows from changed ones."""

from __future__ import annotations

from typing import Any

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


ALL = frozenset({"insert", "update", "delete", "truncate"})
SUPPORT = "INSERT INTO members SELECT n * 10 + 1, 'support', 0, '2025-06-01' FROM generate_series(1, 40) AS n"
GONE = {
    "one row": "DELETE FROM members WHERE id = 20",
    "by a transaction with others": "DELETE FROM members WHERE id IN (20, 21, 31)",
    "with a neighbour's row under its key": "DELETE FROM members WHERE id = 20; INSERT INTO members VALUES (20, 'support', 0, now())",
    "moved to a neighbour": "UPDATE members SET group_id = 'support' WHERE id = 20",
}


@pytest.mark.parametrize("how", GONE)
async def test_a_row_in_scope_that_is_gone_is_named(postgres: PostgresWorld, how: str) -> None:
    """Among deletes of neighbours the one of a record in scope is a finding, with its key."""
    postgres.write(SUPPORT)
    async with postgres.nights(operations=ALL, neighbours=frozenset({"support"})) as nights:
        postgres.write("DELETE FROM members WHERE id = 11", "UPDATE members SET role = 3 WHERE id = 21")
        quiet = await nights.night()
        postgres.write(*GONE[how].split("; "))
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert [finding.key for finding in loud.findings] == ["20"]


async def test_a_truncate_of_a_shared_table_names_what_is_gone(postgres: PostgresWorld) -> None:
    """No counter moves. The rows in scope are findings, those of neighbours are not."""
    postgres.write(SUPPORT)
    async with postgres.nights(operations=ALL, neighbours=frozenset({"support"})) as nights:
        postgres.write("TRUNCATE members")
        judgement = await nights.night()
    assert judgement.verdict is Verdict.VIOLATED
    keys = {finding.key for finding in judgement.findings}
    assert {"10", "400"} <= keys
    assert "11" not in keys


@pytest.mark.parametrize("short_lived", [None, "drafts"])
async def test_pairs_that_nothing_explains(postgres: PostgresWorld, short_lived: str | None) -> None:
    """Three rows that are written and removed on a shared table may be in scope, unless the profile says whose they are."""
    relation = members(short_lived=short_lived)
    async with postgres.nights(operations=ALL, neighbours=frozenset({"support"}), relation=relation) as nights:
        postgres.write(INSERT + "(901, 'moved', now()), (902, 'moved', now()), (903, 'moved', now())")
        postgres.write("DELETE FROM members WHERE id > 900")
        first, second = await nights.night(), await nights.night()
    if short_lived:
        assert first.verdict is Verdict.HOLDS
        assert any("drafts" in text for text in first.coverage[0].unseen)
    else:
        assert first.verdict is Verdict.INCONCLUSIVE
        assert "up to 3 records were written and removed again" in first.reason
    assert second.verdict is Verdict.HOLDS, second.reason


BALANCED = {
    "a row replaced": ["DELETE FROM members WHERE id = 21", "INSERT INTO members VALUES (21, 'support', 5, now())"],
    "one in, one out": ["DELETE FROM members WHERE id = 21", "INSERT INTO members VALUES (777, 'support', 5, now())"],
    "updated again and again": ["UPDATE members SET role = role + 1 WHERE group_id = 'support'"] * 3,
    "rolled back": ["BEGIN", "INSERT INTO members VALUES (778, 'support', 5, now())", "ROLLBACK"],
    "deletes rolled back": ["BEGIN", "DELETE FROM members", "ROLLBACK"],
}


@pytest.mark.parametrize("how", BALANCED)
async def test_live_traffic_of_neighbours_holds(postgres: PostgresWorld, how: str) -> None:
    """What neighbours write and remove explains the counters that it moves."""
    postgres.write(SUPPORT)
    async with postgres.nights(operations=ALL, neighbours=frozenset({"support"})) as nights:
        postgres.write(*BALANCED[how])
        first, second = await nights.night(), await nights.night()
    assert (first.verdict, second.verdict) == (Verdict.HOLDS, Verdict.HOLDS), (first.reason, second.reason)


async def test_declared_deletes_hold(postgres: PostgresWorld) -> None:
    """A retention job removes rows, and the coverage counts them; an insert is still a finding."""
    relation = members(deletes="retention job")
    async with postgres.nights(operations=ALL, relation=relation) as nights:
        postgres.write("DELETE FROM members WHERE id < 50")
        quiet = await nights.night()
        postgres.write(INSERT + "(1000, 'moved', '2020-01-01')")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert "4 deletes that the profile declares (retention job)" in str(quiet.coverage[0])
    assert loud.verdict is Verdict.VIOLATED


async def test_without_a_census_a_counted_delete_is_inconclusive(
    postgres: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is too large has no keys to compare."""
    monkeypatch.setattr(postgres_census, "CENSUS_MAX", 39)
    async with postgres.nights(operations=ALL) as nights:
        quiet = await nights.night()
        postgres.write("DELETE FROM members WHERE id = 20")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert loud.verdict is Verdict.INCONCLUSIVE
    assert "counted 1 deletes" in loud.reason


async def test_leaving_and_entering_the_where_are_a_delete_and_an_insert(postgres: PostgresWorld) -> None:
    """A soft delete is a write of the relation; what happens outside the `where` is none."""
    postgres.write("ALTER TABLE members ADD deleted boolean NOT NULL DEFAULT false")
    postgres.write("INSERT INTO members VALUES (999, 'moved', 0, '2025-01-01', true)")
    relation = members(where="NOT deleted AND group_id NOT LIKE '%elsewhere'")
    asked: dict[str, Any] = {"relation": relation}
    gone, new = frozenset({"delete"}), frozenset({"insert"})
    async with (
        postgres.nights(operations=gone, **asked) as removals,
        postgres.nights(operations=new, **asked) as additions,
    ):
        postgres.write("UPDATE members SET role = 9 WHERE id = 999", INSERT + "(998, 'elsewhere', now())")
        postgres.write("UPDATE members SET role = 9 WHERE id = 998", "DELETE FROM members WHERE id = 998")
        postgres.write(INSERT + "(997, 'elsewhere', now())")
        quiet = [await removals.night(), await additions.night()]
        postgres.write("UPDATE members SET deleted = true WHERE id = 20")
        removed = [await removals.night(), await additions.night()]
        await removals.baseline()
        postgres.write("UPDATE members SET deleted = false WHERE id = 999")
        restored = [await removals.night(), await additions.night()]
    assert quiet[0].verdict is Verdict.HOLDS, quiet[0].reason
    assert (
        quiet[1].verdict is Verdict.INCONCLUSIVE
    )  # row 998 was written and removed, and nothing shows where it belonged
    assert [item.key for item in removed[0].findings] == ["20"]
    assert removed[1].verdict is Verdict.HOLDS, removed[1].reason
    assert restored[0].verdict is Verdict.HOLDS, restored[0].reason
    assert [item.key for item in restored[1].findings] == ["999"]


async def test_time_alone_is_no_delete(postgres: PostgresWorld) -> None:
    """A row that leaves the `where` because time passes was not written."""
    relation = members(where="created_at > clock_timestamp() - interval '1.5 seconds'")
    async with postgres.nights(operations=ALL, relation=relation, baselined=False) as nights:
        postgres.write(INSERT + "(1000, 'moved', now())")
        await nights.baseline()
        postgres.write("SELECT pg_sleep(1.6)")
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS, judgement.reason


async def test_only_watched_columns_count(postgres: PostgresWorld) -> None:
    """A read position in the same row is no change of membership; a role is, and so are inserts and deletes."""
    postgres.write("ALTER TABLE members ADD read_at timestamptz, ADD left_at timestamptz")
    columns = {**members().columns, "left_at": "left_at"}
    relation = members(columns=columns, watched=["role", "left_at"])
    async with postgres.nights(operations=ALL, relation=relation) as nights:
        postgres.write("UPDATE members SET read_at = now(), role = 0")
        quiet = await nights.night()
        postgres.write("UPDATE members SET role = 1 WHERE id = 20", "UPDATE members SET left_at = now() WHERE id = 30")
        postgres.write("UPDATE members SET read_at = now()", "DELETE FROM members WHERE id = 40")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert any("other columns than role, left_at" in text for text in quiet.coverage[0].unseen)
    assert sorted(item.key for item in loud.findings) == ["20", "30", "40"]


async def test_a_state_says_what_counts(postgres: PostgresWorld) -> None:
    """A record that becomes online is presence; one that goes offline, or changes otherwise, is none."""
    postgres.write(
        "ALTER TABLE members ADD status text NOT NULL DEFAULT 'offline', ADD theme text",
        "UPDATE members SET status = 'online' WHERE id IN (100, 110)",
    )
    columns: dict[str, object] = {**members().columns, "online": {"column": "status = 'online'", "type": "boolean"}}
    asked = frozenset({"insert", "update"})
    async with postgres.nights(operations=asked, relation=members(columns=columns), state="online") as nights:
        postgres.write("UPDATE members SET theme = 'dark'", "UPDATE members SET status = 'offline' WHERE id = 110")
        postgres.write(INSERT + "(1000, 'moved', now())")
        quiet = await nights.night()
        postgres.write("UPDATE members SET status = 'online' WHERE id = 20")
        postgres.write("INSERT INTO members (id, group_id, status) VALUES (1001, 'moved', 'online')")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert sorted(item.key for item in loud.findings) == ["1001", "20"]


@pytest.mark.parametrize(
    ("kind", "stored", "shown"),
    [("bytea", "'key-1'", "key-1"), ("bytea", "'\\x00ff'", "\\x00ff"), ("char(9)", "'key-1'", "key-1")],
)
async def test_a_deleted_row_is_named_as_it_was_while_it_was_there(
    postgres: PostgresWorld, kind: str, stored: str, shown: str
) -> None:
    """Waivers and the list of open breaches know a record by one spelling of its key."""
    postgres.write(
        "DROP TABLE members",
        f"CREATE TABLE members (id {kind} PRIMARY KEY, group_id text, role int, created_at timestamptz)",
    )
    async with postgres.nights(operations=frozenset({"insert", "delete"})) as nights:
        postgres.write(INSERT + f"({stored}, 'moved', now())")
        inserted = await nights.night()
        await nights.baseline()
        postgres.write("DELETE FROM members")
        deleted = await nights.night()
    assert [finding.key for finding in (*inserted.findings, *deleted.findings)] == [shown, shown]
