"""Partitions and INHERITS children: each is watched, new and empty ones break nothing, detached ones are deletes."""

from __future__ import annotations

import pytest

from tests.verifier.stores.postgres.world import PostgresWorld
from verifier.model.verdict import Verdict

pytestmark = pytest.mark.anyio

ALL = frozenset({"insert", "update", "delete", "truncate"})
PARTED = """
DROP TABLE members;
CREATE TABLE members (id bigint, group_id text, role int, created_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF members FOR VALUES FROM (0) TO (100);
CREATE TABLE high PARTITION OF members FOR VALUES FROM (100) TO (1000);
INSERT INTO members SELECT n * 10, 'moved', 0, '2025-06-01' FROM generate_series(1, 40) AS n
"""
INHERITED = """
CREATE TABLE archive () INHERITS (members);
CREATE TABLE archive_2020 () INHERITS (archive);
INSERT INTO archive_2020 VALUES (5000, 'moved', 0, '2020-01-01')
"""


async def test_a_premade_empty_partition_holds(postgres: PostgresWorld) -> None:
    """Partitions that a job makes for the next months hold no row, and dropping an empty one removes none."""
    postgres.write(PARTED)
    async with postgres.nights(operations=ALL) as nights:
        postgres.write("CREATE TABLE top PARTITION OF members FOR VALUES FROM (1000) TO (2000)")
        made = await nights.night()
        postgres.write("DROP TABLE top")
        dropped = await nights.night()
    assert (made.verdict, dropped.verdict) == (Verdict.HOLDS, Verdict.HOLDS), (made.reason, dropped.reason)


async def test_rows_of_a_new_or_attached_partition_are_found(postgres: PostgresWorld) -> None:
    """A row in a new partition is new, and so is one that was written long ago to a table that is attached now."""
    postgres.write(
        PARTED, "CREATE TABLE loose (LIKE members)", "INSERT INTO loose VALUES (2500, 'moved', 0, '2020-01-01')"
    )
    async with postgres.nights(operations=ALL) as nights:
        postgres.write("ALTER TABLE members ATTACH PARTITION loose FOR VALUES FROM (2000) TO (3000)")
        attached = await nights.night()
        await nights.baseline()
        postgres.write(
            "CREATE TABLE top PARTITION OF members FOR VALUES FROM (1000) TO (2000)",
            "INSERT INTO members VALUES (1500, 'moved', 0, '2020-01-01')",
        )
        written = await nights.night()
        await nights.baseline()
        postgres.write(
            "CREATE TABLE next PARTITION OF members FOR VALUES FROM (3000) TO (4000)",
            "INSERT INTO members VALUES (3500, 'moved', 0, '2020-01-01')",
            "DELETE FROM members WHERE id = 3500",
        )
        transient = await nights.night()
    assert [item.key for item in attached.findings] == ["2500"]
    assert [item.key for item in written.findings] == ["1500"]
    assert "written and removed" in transient.findings[0].summary


@pytest.mark.parametrize("how", ["ALTER TABLE members DETACH PARTITION low", "DROP TABLE low", "TRUNCATE low"])
async def test_rows_of_a_partition_that_is_gone_are_deletes(postgres: PostgresWorld, how: str) -> None:
    """No delete is counted, and the rows are gone from the relation."""
    postgres.write(PARTED)
    async with postgres.nights(operations=ALL, neighbours=frozenset({"support"})) as nights:
        postgres.write(how)
        judgement = await nights.night()
    assert judgement.verdict is Verdict.VIOLATED
    assert {"10", "90"} <= {item.key for item in judgement.findings}
    assert judgement.findings_total in (9, 10)


@pytest.mark.parametrize("shared", [False, True], ids=["exclusive", "shared"])
async def test_writes_to_children_are_found(postgres: PostgresWorld, shared: bool) -> None:
    """A child at any depth has its own counters, rows and file."""
    postgres.write(INHERITED)
    neighbours = frozenset({"support"} if shared else ())
    async with postgres.nights(operations=ALL, neighbours=neighbours) as nights:
        quiet = await nights.night()
        postgres.write("INSERT INTO archive_2020 VALUES (5001, 'moved', 0, '2020-01-01')")
        written = await nights.night()
        await nights.baseline()
        postgres.write("DELETE FROM archive_2020 WHERE id = 5000")
        deleted = await nights.night()
        await nights.baseline()
        postgres.write(
            "INSERT INTO archive VALUES (5002, 'moved', 0, '2020-01-01')", "DELETE FROM archive WHERE id = 5002"
        )
        transient = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert [item.key for item in written.findings] == ["5001"]
    assert [item.key for item in deleted.findings] == ["5000"]
    assert transient.verdict is (Verdict.INCONCLUSIVE if shared else Verdict.VIOLATED)


async def test_a_row_that_moves_to_another_partition_is_an_update(postgres: PostgresWorld) -> None:
    """The server deletes and inserts it; a neighbour's row that moves is no pair that nothing explains."""
    postgres.write(PARTED.replace("'moved', 0, '2025", "CASE n WHEN 1 THEN 'support' ELSE 'moved' END, 0, '2025"))
    postgres.write("ALTER TABLE members ADD kept int", "ALTER TABLE members DROP kept")
    async with postgres.nights(operations=ALL, neighbours=frozenset({"support"})) as nights:
        postgres.write("UPDATE members SET id = 15 WHERE id = 10")
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS, judgement.reason


async def test_a_reset_of_one_part_is_lost_continuity(postgres: PostgresWorld) -> None:
    """The sum over all parts may grow all the same."""
    postgres.write(PARTED, "INSERT INTO low SELECT n, 'moved', 0, '2020-01-01' FROM generate_series(11, 19) AS n")
    neighbours = frozenset({"support"})
    async with postgres.nights(operations=ALL, neighbours=neighbours) as nights:
        postgres.write("INSERT INTO high SELECT n, 'support', 0, now() FROM generate_series(501, 599) AS n")
        postgres.write("SELECT pg_stat_reset_single_table_counters('low'::regclass)", admin=True)
        judgement = await nights.night()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "the counters of a part changed" in judgement.reason


async def test_counting_that_is_off_for_a_role_is_a_limitation(postgres: PostgresWorld) -> None:
    """The verifier's own session counts; the setting of the writer's role shows that its writes are not counted."""
    writer = postgres.grant.chat_db.split("//")[1].split(":")[0]
    postgres.write(f'ALTER ROLE "{writer}" SET track_counts = off', admin=True)
    try:
        async with postgres.nights(operations=ALL) as nights:
            judgement = await nights.night()
    finally:
        postgres.write(f'ALTER ROLE "{writer}" RESET track_counts', admin=True)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "pg_db_role_setting" in judgement.reason


async def test_the_listing_names_the_ancestors_of_a_table(postgres: PostgresWorld) -> None:
    """By INHERITS as by partitions, at any depth, and from several parents."""
    several = "CREATE TABLE tagged (tag text); CREATE TABLE mixed () INHERITS (tagged, members)"
    postgres.write(INHERITED, several, "CREATE TABLE parted (id int) PARTITION BY RANGE (id)")
    postgres.write("CREATE TABLE part PARTITION OF parted DEFAULT")
    async with postgres.store() as store:
        listed = await store.listing("columns")
    ancestors = {item.attributes["table_name"]: item.attributes["ancestors"] for item in listed}
    assert len({item.name for item in listed}) == len(listed)
    assert ancestors == {
        "public.members": [],
        "public.archive": ["public.members"],
        "public.archive_2020": ["public.archive", "public.members"],
        "public.tagged": [],
        "public.mixed": ["public.members", "public.tagged"],
        "public.parted": [],
        "public.part": ["public.parted"],
    }
