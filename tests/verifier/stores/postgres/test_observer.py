"""Absence proofs over PostgreSQL: every kind of write is found, harmless activity is not a finding, limitations are
reported."""

from __future__ import annotations

import pytest

from tests.verifier.stores.nights import known_by
from tests.verifier.stores.postgres.world import INSERT, PostgresWorld, members
from verifier.model.verdict import Verdict

pytestmark = pytest.mark.anyio

COUNTED, MARKED = "counters of the server", "its transaction"


TRIGGER = """
CREATE TABLE audit (note text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO members VALUES (7777, 'moved', 0, '2025-01-01'); RETURN NEW; END $$;
CREATE TRIGGER note AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION note()
"""
DEFINER = """
CREATE FUNCTION add_member() RETURNS void LANGUAGE sql SECURITY DEFINER AS
  $$ INSERT INTO members VALUES (8888, 'moved', 0, '2025-01-01') $$
"""
WRITTEN = {
    "back-dated": ([INSERT + "(1000, 'moved', '2020-01-01')"], MARKED),
    "a lower id of one's own": ([INSERT + "(-5, 'moved', '2025-01-01')"], MARKED),
    "an id in a gap": ([INSERT + "(15, 'moved', '2025-01-01')"], MARKED),
    "written and removed": ([INSERT + "(1000, 'moved', now())", "DELETE FROM members WHERE id = 1000"], COUNTED),
    "replaced": (["DELETE FROM members WHERE id = 10", INSERT + "(10, 'moved', '2025-06-01')"], COUNTED),
    "by a trigger": ([TRIGGER, "INSERT INTO audit VALUES ('x')"], MARKED),
    "by a function of another's rights": ([DEFINER, "SELECT add_member()"], MARKED),
    "by COPY-like bulk": ([INSERT + "(2000, 'moved', now()), (2001, 'moved', now())"], MARKED),
    "by MERGE": (
        [
            "MERGE INTO members m USING (VALUES (3000)) AS v (id) ON m.id = v.id "
            "WHEN NOT MATCHED THEN INSERT (id, group_id) VALUES (v.id, 'moved')"
        ],
        MARKED,
    ),
    "in a subtransaction": (["BEGIN", "SAVEPOINT a", INSERT + "(4000, 'moved', '2025-01-01')", "COMMIT"], MARKED),
    "and then frozen": ([INSERT + "(5000, 'moved', '2025-01-01')", "VACUUM FREEZE members"], MARKED),
}


@pytest.mark.parametrize("how", WRITTEN)
async def test_a_write_is_violated(postgres: PostgresWorld, how: str) -> None:
    """A row that remains is found by its transaction, one that is gone by the counters, whatever its columns are."""
    statements, technique = WRITTEN[how]
    async with postgres.nights() as nights:
        postgres.write(*statements)
        judgement = await nights.night()
    assert judgement.verdict is Verdict.VIOLATED
    assert all(technique in how for how in known_by(judgement)), known_by(judgement)


async def test_an_update_in_place_is_violated(postgres: PostgresWorld) -> None:
    """A changed row has a new transaction; a row lock has not."""
    async with postgres.nights(operations=frozenset({"update"})) as nights:
        postgres.write("SELECT * FROM members FOR UPDATE")
        assert (await nights.night()).verdict is Verdict.HOLDS
        postgres.write("UPDATE members SET role = 1 WHERE id = 20")
        judgement = await nights.night()
    assert [finding.key for finding in judgement.findings] == ["20"]


SILENT = {
    "nothing": [],
    "read": ["SELECT count(*) FROM members", "SELECT * FROM members FOR UPDATE"],
    "VACUUM FULL": ["VACUUM FULL members"],
    "VACUUM FREEZE": ["VACUUM FREEZE members", "ANALYZE members"],
    "a rewrite for a type": ["ALTER TABLE members ALTER role TYPE bigint"],
    "CLUSTER": ["CLUSTER members USING members_pkey"],
    "a column with a default": ["ALTER TABLE members ADD seen timestamptz DEFAULT clock_timestamp()"],
    "an index": ["CREATE INDEX ON members (group_id)", "REINDEX TABLE members"],
    "another table": ["CREATE TABLE other (id int)", "INSERT INTO other VALUES (1)"],
}


@pytest.mark.parametrize("what", SILENT)
@pytest.mark.parametrize("shared", [False, True], ids=["exclusive", "shared"])
async def test_harmless_activity_holds(postgres: PostgresWorld, what: str, shared: bool) -> None:
    """Maintenance rewrites files and transaction ids, and the check holds, also in the next night."""
    async with postgres.nights(neighbours=frozenset({"support"} if shared else ())) as nights:
        postgres.write(*SILENT[what])
        first, second = await nights.night(), await nights.night()
    assert (first.verdict, second.verdict) == (Verdict.HOLDS, Verdict.HOLDS), (first.reason, second.reason)


async def test_a_rolled_back_insert_holds_with_a_note(postgres: PostgresWorld) -> None:
    """It is counted like a committed insert and leaves nothing: an attempt, not a write."""
    async with postgres.nights() as nights:
        postgres.write("BEGIN", INSERT + "(1000, 'moved', now())", "ROLLBACK")
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS
    assert "aborted attempts: insert +1" in " ".join(judgement.notes)


async def test_neighbours_are_not_findings_and_do_not_hide_others(postgres: PostgresWorld) -> None:
    """On a shared table only a row in scope is a finding."""
    async with postgres.nights(neighbours=frozenset({"support"})) as nights:
        postgres.write(INSERT + "(1000, 'support', now()), (1001, 'support', now())")
        opened = await nights.night()
        postgres.write("DELETE FROM members WHERE id = 1000", "UPDATE members SET role = 2 WHERE id = 1001")
        quiet = await nights.night()
        postgres.write(INSERT + "(1002, 'moved', '2020-01-01'), (1003, 'support', now())")
        loud = await nights.night()
    assert (opened.verdict, quiet.verdict) == (Verdict.HOLDS, Verdict.HOLDS), (opened.reason, quiet.reason)
    assert [finding.key for finding in loud.findings] == ["1002"]


LOST = {
    "a table swapped under the name": [
        "CREATE TABLE swapped (LIKE members INCLUDING ALL)",
        "INSERT INTO swapped SELECT * FROM members",
        "DROP TABLE members",
        "ALTER TABLE swapped RENAME TO members",
    ],
    "TRUNCATE and reload": [
        "CREATE TABLE kept AS SELECT * FROM members",
        "TRUNCATE members",
        "INSERT INTO members SELECT * FROM kept",
    ],
    "a dump restored": [
        "CREATE TABLE kept AS SELECT * FROM members",
        "DROP TABLE members",
        "CREATE TABLE members (id bigint PRIMARY KEY, group_id text, role int, created_at timestamptz)",
        "INSERT INTO members SELECT * FROM kept",
    ],
    "statistics reset": ["SELECT pg_stat_reset()"],
    "the table's statistics reset": [
        "INSERT INTO members VALUES (1, 'moved', 0, '2020-01-01')",
        "DELETE FROM members WHERE id = 1",
        "SELECT pg_stat_reset_single_table_counters('members'::regclass)",
    ],
}


@pytest.mark.parametrize("how", LOST)
async def test_lost_continuity_is_inconclusive_once(postgres: PostgresWorld, how: str) -> None:
    """It neither holds nor is violated; the next night finds writes again."""
    async with postgres.nights() as nights:
        postgres.write(*LOST[how], "GRANT SELECT ON members TO PUBLIC", admin="statistics" in how)
        first, second = await nights.night(), await nights.night()
        postgres.write(INSERT + "(9000, 'moved', '2020-01-01')")
        third = await nights.night()
    assert first.verdict is Verdict.INCONCLUSIVE
    assert "continuity broken" in first.reason
    assert second.verdict is Verdict.HOLDS, second.reason
    assert third.verdict is Verdict.VIOLATED


@pytest.mark.parametrize("operations", [{"insert"}, {"insert", "truncate"}], ids=["not asked", "asked"])
async def test_a_truncate_is_found(postgres: PostgresWorld, operations: set[str]) -> None:
    """It moves no counter and leaves no row; the new empty file shows it. A breach where it is asked for, otherwise a
    note."""
    async with postgres.nights(operations=frozenset(operations)) as nights:
        postgres.write("TRUNCATE members")
        judgement, after = await nights.night(), await nights.night()
    if "truncate" in operations:
        assert judgement.verdict is Verdict.VIOLATED
    else:
        assert judgement.verdict is Verdict.HOLDS
        assert "emptied since the last run" in " ".join(judgement.notes)
        assert after.notes != judgement.notes


async def test_vacuum_full_after_deletes_is_not_a_truncate(postgres: PostgresWorld) -> None:
    """A new empty file after counted deletes is that of VACUUM FULL; a table that was empty before was not
    truncated."""
    async with postgres.nights(operations=frozenset({"insert", "truncate"})) as nights:
        postgres.write("DELETE FROM members")
        assert (await nights.night()).verdict is Verdict.HOLDS
        postgres.write("VACUUM FULL members")
        assert (await nights.night()).verdict is Verdict.HOLDS
        postgres.write("TRUNCATE members")
        assert (await nights.night()).verdict is Verdict.HOLDS


PARTED = """
DROP TABLE members;
CREATE TABLE members (id bigint, group_id text, role int, created_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF members FOR VALUES FROM (0) TO (100);
CREATE TABLE "high, and more" PARTITION OF members FOR VALUES FROM (100) TO (1000);
INSERT INTO members SELECT n * 10, 'moved', 0, '2025-06-01' FROM generate_series(1, 40) AS n
"""


async def test_writes_to_partitions_are_found(postgres: PostgresWorld) -> None:
    """A write to one partition and its TRUNCATE are found."""
    postgres.write(PARTED)
    async with postgres.nights(operations=frozenset({"insert", "truncate"})) as nights:
        assert (await nights.night()).verdict is Verdict.HOLDS
        postgres.write("INSERT INTO low VALUES (5, 'moved', 0, '2020-01-01')")
        written = await nights.night()
        await nights.baseline()
        postgres.write('TRUNCATE "high, and more"')
        emptied = await nights.night()
    assert [item.key for item in written.findings] == ["5"]
    assert "no delete was counted" in " ".join(known_by(emptied))


async def test_a_partition_that_may_not_be_read_is_a_limitation(postgres: PostgresWorld) -> None:
    """With rights on the parent only, writes are found, and a TRUNCATE would not be."""
    postgres.write(PARTED, "REVOKE SELECT ON low FROM PUBLIC")
    verifier = postgres.grant.verifier_chat_db.split("//")[1].split(":")[0]
    postgres.write(f'REVOKE SELECT ON low FROM "{verifier}"')  # noqa: S608 - the name is the test's
    async with postgres.nights() as nights:
        held = await nights.night()
        postgres.write("INSERT INTO low VALUES (5, 'moved', 0, '2020-01-01')")
        written = await nights.night()
    assert held.verdict is Verdict.HOLDS
    assert any(text.startswith("a TRUNCATE") for text in held.coverage[0].unseen)
    assert written.verdict is Verdict.VIOLATED


async def test_deletes_are_in_the_note(postgres: PostgresWorld) -> None:
    """Where rows were removed the note has their number."""
    async with postgres.nights() as nights:
        postgres.write("DELETE FROM members WHERE id < 50")
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS
    assert "delete +4" in " ".join(judgement.notes)


async def test_without_counters_silence_of_a_frozen_table_is_inconclusive(postgres: PostgresWorld) -> None:
    """With track_counts off, transactions of rows still show writes; silence holds only where neighbours write too."""
    database = postgres.grant.admin_chat_db.rpartition("/")[2]
    postgres.write(f"ALTER DATABASE {database} SET track_counts = off", admin=True)
    async with postgres.nights() as nights:
        silent = await nights.night()
        postgres.write(INSERT + "(1000, 'moved', '2025-01-01')")
        loud = await nights.night()
    async with postgres.nights(neighbours=frozenset({"support"})) as nights:
        shared = await nights.night()
    assert silent.verdict is Verdict.INCONCLUSIVE
    assert "track_counts" in silent.reason
    assert loud.verdict is Verdict.VIOLATED
    assert shared.verdict is Verdict.HOLDS
    assert any("track_counts" in text for text in shared.coverage[0].unseen)


@pytest.mark.parametrize("shape", ["select", "view"])
async def test_time_columns_alone_do_not_prove_silence(postgres: PostgresWorld, shape: str) -> None:
    """A view or a select has neither counters nor transactions: a row with a later time is a finding, silence is
    inconclusive."""
    postgres.write("CREATE VIEW people AS SELECT * FROM members")
    changes = {"table": "public.people"} if shape == "view" else {"table": None, "select": "SELECT * FROM members"}
    async with postgres.nights(relation=members(**changes), inserted_at="created_at") as nights:
        silent = await nights.night()
        postgres.write(INSERT + "(1000, 'moved', now())")
        loud = await nights.night()
    assert silent.verdict is Verdict.INCONCLUSIVE
    assert "too little evidence" in silent.reason
    assert loud.verdict is Verdict.VIOLATED
