"""PostgreSQL: what was written is told, however it was written; what was not is never accused; the rest is admitted."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from fixtures.stack.stack import Stack
from tests.verifier.stores.absence_nights import told
from tests.verifier.stores.postgres_world import PostgresWorld, members, open_postgres_world
from verifier.model.verdict import Verdict
from verifier.stores.errors import ContinuityLost
from verifier.stores.postgres import census as postgres_census
from verifier.stores.postgres.observer import PostgresObserver
from verifier.stores.postgres.snapshot import Snapshot
from verifier.stores.protocols import CounterSnapshot

pytestmark = pytest.mark.anyio

COUNTED, MARKED = "counters of the server", "its transaction"


@pytest.fixture
def postgres(stack: Stack) -> Iterator[PostgresWorld]:
    """A database of its own on the shared server."""
    with open_postgres_world(stack.postgres) as world:
        yield world


INSERT = "INSERT INTO members (id, group_id, created_at) VALUES "
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
async def test_a_write_is_told(postgres: PostgresWorld, how: str) -> None:
    """Whatever it says of itself: the row's mark tells it where it stayed, the counters where it did not."""
    statements, known_by = WRITTEN[how]
    async with postgres.nights() as nights:
        postgres.write(*statements)
        judgement = await nights.night()
    assert judgement.verdict is Verdict.VIOLATED
    assert all(known_by in how for how in told(judgement)), told(judgement)


async def test_an_update_in_place_is_told(postgres: PostgresWorld) -> None:
    """An old row that changes is as new as an inserted one; a lock on it is no change."""
    async with postgres.nights(operations=frozenset({"update"})) as nights:
        postgres.write("SELECT * FROM members FOR UPDATE")
        assert (await nights.night()).verdict is Verdict.HOLDS
        postgres.write("UPDATE members SET role = 1 WHERE id = 20")
        judgement = await nights.night()
    assert [finding.key for finding in judgement.findings] == ["20"]


@pytest.mark.parametrize("asked", ["insert", "update"])
async def test_new_and_changed_are_told_apart_among_others(postgres: PostgresWorld, asked: str) -> None:
    """The neighbours' writes move every counter: what tells is whether the key was there at the last look."""
    async with postgres.nights(operations=frozenset({asked}), neighbours=frozenset({"support"})) as nights:
        postgres.write(INSERT + "(999, 'support', now())", "UPDATE members SET role = 7 WHERE id = 999")
        quiet = await nights.night()
        postgres.write(INSERT + "(1000, 'moved', '2020-01-01'), (1001, 'support', now())")
        postgres.write("UPDATE members SET role = 1 WHERE id IN (20, 999)")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert [finding.key for finding in loud.findings] == (["1000"] if asked == "insert" else ["20"])


async def test_a_row_that_changes_beside_the_census_stays_known(postgres: PostgresWorld) -> None:
    """It gets a younger version between the reading and the census; one that was not there at the last look does not count."""
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


async def test_without_a_census_a_write_in_scope_is_not_judged(
    postgres: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is too large for one: silence holds, with a note; a write is inconclusive where its kind matters."""
    monkeypatch.setattr(postgres_census, "CENSUS_MAX", 39)
    async with postgres.nights(neighbours=frozenset({"support"})) as nights:
        quiet = await nights.night()
        postgres.write("UPDATE members SET role = 1 WHERE id = 20")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS
    assert "whether a row is new or changed (over 39 rows)" in " ".join(quiet.notes)
    assert loud.verdict is Verdict.INCONCLUSIVE
    assert "new or changed" in loud.reason


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
async def test_what_is_no_write_is_no_accusation(postgres: PostgresWorld, what: str, shared: bool) -> None:
    """Upkeep rewrites files and marks, and holds, also the night after."""
    async with postgres.nights(neighbours=frozenset({"support"} if shared else ())) as nights:
        postgres.write(*SILENT[what])
        first, second = await nights.night(), await nights.night()
    assert (first.verdict, second.verdict) == (Verdict.HOLDS, Verdict.HOLDS), (first.reason, second.reason)


async def test_a_rolled_back_insert_holds_with_a_note(postgres: PostgresWorld) -> None:
    """It counts like a committed one and leaves nothing: an attempt, not a write."""
    async with postgres.nights() as nights:
        postgres.write("BEGIN", INSERT + "(1000, 'moved', now())", "ROLLBACK")
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS
    assert "aborted attempts: insert +1" in " ".join(judgement.notes)


async def test_neighbours_are_left_alone_and_do_not_hide_others(postgres: PostgresWorld) -> None:
    """On a shared table only a row in scope accuses; what cannot be seen beside the others is said."""
    async with postgres.nights(neighbours=frozenset({"support"})) as nights:
        postgres.write(INSERT + "(1000, 'support', now())", "DELETE FROM members WHERE id = 1000")
        postgres.write(INSERT + "(1001, 'support', now())")
        quiet = await nights.night()
        postgres.write(INSERT + "(1002, 'moved', '2020-01-01'), (1003, 'support', now())")
        loud = await nights.night()
    assert quiet.verdict is Verdict.HOLDS
    assert any("written and removed again" in text for text in quiet.coverage[0].unseen)
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
async def test_lost_continuity_is_admitted_and_armed_anew(postgres: PostgresWorld, how: str) -> None:
    """It never holds and never accuses; the next night does its work again."""
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
async def test_a_truncate_is_told(postgres: PostgresWorld, operations: set[str]) -> None:
    """It moves no counter and leaves no row: the new file that is empty tells. A breach where it is asked for, else a note."""
    async with postgres.nights(operations=frozenset(operations)) as nights:
        postgres.write("TRUNCATE members")
        judgement, after = await nights.night(), await nights.night()
    if "truncate" in operations:
        assert judgement.verdict is Verdict.VIOLATED
    else:
        assert judgement.verdict is Verdict.HOLDS
        assert "emptied since the last run" in " ".join(judgement.notes)
        assert after.notes != judgement.notes


async def test_emptied_by_deletes_and_packed_is_no_truncate(postgres: PostgresWorld) -> None:
    """An empty new file after counted deletes is VACUUM FULL's; one that was empty before is nobody's."""
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


async def test_partitions_are_watched_together(postgres: PostgresWorld) -> None:
    """A write to one partition is told, a truncated one too, and a new one is lost continuity."""
    postgres.write(PARTED)
    async with postgres.nights(operations=frozenset({"insert", "truncate"})) as nights:
        assert (await nights.night()).verdict is Verdict.HOLDS
        postgres.write("INSERT INTO low VALUES (5, 'moved', 0, '2020-01-01')")
        written = await nights.night()
        await nights.baseline()
        postgres.write('TRUNCATE "high, and more"')
        emptied = await nights.night()
        await nights.baseline()
        postgres.write("CREATE TABLE top PARTITION OF members FOR VALUES FROM (1000) TO (2000)")
        added = await nights.night()
    assert [item.key for item in written.findings] == ["5"]
    assert "no delete was counted" in " ".join(told(emptied))
    assert "table changed" in added.reason


async def test_a_partition_that_may_not_be_read_is_admitted(postgres: PostgresWorld) -> None:
    """With rights on the parent alone the writes are told; a TRUNCATE would not be, and that is said."""
    postgres.write(PARTED, "REVOKE SELECT ON low FROM PUBLIC")
    verifier = postgres.grant.verifier_chat_db.split("//")[1].split(":")[0]
    postgres.write(f'REVOKE SELECT ON low FROM "{verifier}"')  # noqa: S608 - a name of our own
    async with postgres.nights() as nights:
        held = await nights.night()
        postgres.write("INSERT INTO low VALUES (5, 'moved', 0, '2020-01-01')")
        written = await nights.night()
    assert held.verdict is Verdict.HOLDS
    assert any(text.startswith("a TRUNCATE") for text in held.coverage[0].unseen)
    assert written.verdict is Verdict.VIOLATED


async def test_a_baseline_waits_for_open_transactions(postgres: PostgresWorld) -> None:
    """A session in a transaction keeps the counts of its earlier writes back: a baseline beside it proves nothing."""
    with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
        writer.execute("DELETE FROM members WHERE id = 1000")
        async with postgres.nights() as nights:
            writer.execute("COMMIT")
            pid = writer.info.backend_pid
            writer.close()
            postgres.await_end_of(pid)
            first, second = await nights.night(), await nights.night()
    assert first.verdict is Verdict.INCONCLUSIVE
    assert "baseline" in first.reason
    assert second.verdict is Verdict.HOLDS


async def test_a_long_transaction_beside_the_baseline_blinds_nobody(postgres: PostgresWorld) -> None:
    """A dump is open all night: an untouched table holds, and its baseline is sure again when the dump is over."""
    with psycopg.connect(postgres.grant.chat_db, autocommit=True) as dump:
        dump.execute("BEGIN")
        dump.execute("SELECT 1")
        async with postgres.nights() as nights:
            beside = [await nights.night(), await nights.night()]
            dump.execute("COMMIT")
            after = await nights.night()
            postgres.write(INSERT + "(1000, 'moved', '2025-01-01')", "DELETE FROM members WHERE id = 1000")
            loud = await nights.night()
    assert [item.verdict for item in (*beside, after)] == [Verdict.HOLDS] * 3, [item.reason for item in beside]
    assert loud.verdict is Verdict.VIOLATED


async def test_counts_that_a_long_transaction_kept_back_are_no_phantom(postgres: PostgresWorld) -> None:
    """However many nights hold meanwhile: what it hands in at its end may be older than the first baseline."""
    with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
        writer.execute("DELETE FROM members WHERE id = 1000")
        async with postgres.nights() as nights:
            beside = [await nights.night(), await nights.night()]
            writer.execute("COMMIT")
            pid = writer.info.backend_pid
            writer.close()
            postgres.await_end_of(pid)
            first, second = await nights.night(), await nights.night()
    assert [item.verdict for item in (*beside, first, second)] == [
        Verdict.HOLDS,
        Verdict.HOLDS,
        Verdict.INCONCLUSIVE,
        Verdict.HOLDS,
    ]


async def test_deletes_are_in_the_note(postgres: PostgresWorld) -> None:
    """Where rows were removed the note has the count; that nothing moved would be untrue."""
    async with postgres.nights() as nights:
        postgres.write("DELETE FROM members WHERE id < 50")
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS
    assert "delete +4" in " ".join(judgement.notes)


async def test_a_row_of_a_transaction_that_was_open_says_so(postgres: PostgresWorld) -> None:
    """Committed after the baseline, it is told with its circumstances."""
    with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
        postgres.write("CREATE TABLE later (id int)")  # so that the open one is not the newest
        async with postgres.nights(neighbours=frozenset({"support"})) as nights:
            writer.execute("COMMIT")
            judgement = await nights.night()
    assert "was open at the baseline" in " ".join(told(judgement))


async def test_an_insert_whose_count_is_late_is_no_update(postgres: PostgresWorld) -> None:
    """A pooled session hands its counts in when it was idle for 10 s. Its row is seen at once, and told as what it is."""
    async with postgres.nights() as inserts, postgres.nights(operations=frozenset({"update"})) as others:
        with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
            writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
            written, changed = await inserts.night(), await others.night()
    assert [item.key for item in written.findings] == ["1000"]
    assert changed.verdict is Verdict.HOLDS


async def test_a_baseline_waits_for_counts_on_their_way(postgres: PostgresWorld) -> None:
    """So nothing of them is a phantom the night after."""
    async with postgres.nights(flush_s=11.0, baselined=False) as nights:
        with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
            writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
            await nights.baseline()
            quiet = await nights.night()
    assert quiet.verdict is Verdict.HOLDS
    assert "did not move" in " ".join(quiet.notes)


async def test_without_counters_a_frozen_table_cannot_be_judged(postgres: PostgresWorld) -> None:
    """track_counts is off: the rows' marks still accuse; silence they do not prove, but where neighbours write anyway."""
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
async def test_its_own_times_alone_prove_no_silence(postgres: PostgresWorld, shape: str) -> None:
    """A view or a select has neither counters nor marks: a row that dates itself accuses, silence is inconclusive."""
    postgres.write("CREATE VIEW people AS SELECT * FROM members")
    changes = {"table": "public.people"} if shape == "view" else {"table": None, "select": "SELECT * FROM members"}
    async with postgres.nights(relation=members(**changes), inserted_at="created_at") as nights:
        silent = await nights.night()
        postgres.write(INSERT + "(1000, 'moved', now())")
        loud = await nights.night()
    assert silent.verdict is Verdict.INCONCLUSIVE
    assert "too little evidence" in silent.reason
    assert loud.verdict is Verdict.VIOLATED


class TestTransactionIds:
    """Their arithmetic, where no test can wait for four billion of them."""

    def test_a_mark_is_read_beside_the_snapshot(self) -> None:
        """The nearest 64-bit id of the 32 bits; permanent ids stay."""
        now = Snapshot.parse("4294967300:4294967310:")
        assert now.full_xid(4294967290) == 4294967290
        assert now.full_xid(5) == 4294967301
        assert now.full_xid(2) == 2

    @pytest.mark.parametrize("later", ["2000000000:2000000000:", "50:50:"], ids=["too many", "backwards"])
    async def test_a_horizon_out_of_reach_is_lost_continuity(self, postgres: PostgresWorld, later: str) -> None:
        """Half the circle of ids away nobody can tell old from new."""
        async with postgres.store() as store:
            observer = PostgresObserver(store, members(), (), flush_s=0.1)
            now = await observer.read()
            before, after = _at(now, "100:100:"), _at(now, later)
            with pytest.raises(ContinuityLost, match="transaction ids"):
                [item async for item in observer.witnesses(before, after)]

    async def test_after_a_wrap_old_rows_are_no_phantoms(self, postgres: PostgresWorld) -> None:
        """Frozen rows of the earlier round look new; more of them than were counted is admitted, not accused."""
        async with postgres.store() as store:
            observer = PostgresObserver(store, members(), (), flush_s=0.1)
            now = await observer.read()
            xmax = Snapshot.parse(now.position).xmax + 0x1_0000_0000
            before, after = _at(now, f"{xmax - 500}:{xmax - 500}:"), _at(now, f"{xmax}:{xmax}:")
            with pytest.raises(ContinuityLost, match="wrapped around"):
                [item async for item in observer.witnesses(before, after)]


def _at(snapshot: CounterSnapshot, position: str) -> CounterSnapshot:
    return CounterSnapshot.from_json({**snapshot.to_json(), "horizon": position})
