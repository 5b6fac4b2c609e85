"""Open transactions, late counts and transaction ids that wrap around."""

from __future__ import annotations

import psycopg
import pytest

from tests.verifier.stores.nights import known_by
from tests.verifier.stores.postgres.world import INSERT, PostgresWorld, members
from verifier.model.verdict import Verdict
from verifier.stores.errors import ContinuityLost
from verifier.stores.postgres.observer import PostgresObserver
from verifier.stores.postgres.snapshot import Snapshot
from verifier.stores.protocols import CounterSnapshot

pytestmark = pytest.mark.anyio


async def test_a_baseline_waits_for_open_transactions(postgres: PostgresWorld) -> None:
    """A session in a transaction has not reported the counts of its earlier writes."""
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


async def test_a_long_transaction_during_the_baseline_still_allows_holds(postgres: PostgresWorld) -> None:
    """While a dump is open all night, an unwritten table holds, and its baseline is settled when the dump has ended."""
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


async def test_counts_that_a_long_transaction_delays_are_not_findings(postgres: PostgresWorld) -> None:
    """Counts that are reported at its end may be older than the first baseline, however many nights are in between."""
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


async def test_a_row_of_an_open_transaction_is_described_as_such(postgres: PostgresWorld) -> None:
    """A row that is committed after the baseline is a finding that says so."""
    with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
        postgres.write("CREATE TABLE later (id int)")  # so that the open one is not the newest
        async with postgres.nights(neighbours=frozenset({"support"})) as nights:
            writer.execute("COMMIT")
            judgement = await nights.night()
    assert "was open at the baseline" in " ".join(known_by(judgement))


async def test_an_insert_with_a_late_count_is_not_an_update(postgres: PostgresWorld) -> None:
    """A pooled session reports its counts after 10 s. Its row is seen at once and reported as an insert."""
    async with postgres.nights() as inserts, postgres.nights(operations=frozenset({"update"})) as others:
        with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
            writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
            written, changed = await inserts.night(), await others.night()
    assert [item.key for item in written.findings] == ["1000"]
    assert changed.verdict is Verdict.HOLDS


async def test_a_baseline_waits_for_late_counts(postgres: PostgresWorld) -> None:
    """Late counts are not findings in the next night."""
    async with postgres.nights(flush_s=11.0, baselined=False) as nights:
        with psycopg.connect(postgres.grant.chat_db, autocommit=True) as writer:
            writer.execute(INSERT + "(1000, 'moved', '2025-01-01')")
            await nights.baseline()
            quiet = await nights.night()
    assert quiet.verdict is Verdict.HOLDS
    assert "did not move" in " ".join(quiet.notes)


class TestTransactionIds:
    """Arithmetic of transaction ids, four billion of which no test can use up."""

    def test_xmin_becomes_the_nearest_64_bit_id(self) -> None:
        """The nearest 64-bit id of the 32 bits; permanent ids stay."""
        now = Snapshot.parse("4294967300:4294967310:")
        assert now.full_xid(4294967290) == 4294967290
        assert now.full_xid(5) == 4294967301
        assert now.full_xid(2) == 2

    @pytest.mark.parametrize("later", ["2000000000:2000000000:", "50:50:"], ids=["too many", "backwards"])
    async def test_a_position_too_far_away_is_lost_continuity(self, postgres: PostgresWorld, later: str) -> None:
        """Half of the id range away, old and new ids are not distinguishable."""
        async with postgres.store() as store:
            observer = PostgresObserver(store, members(), (), flush_s=0.1)
            now = await observer.read()
            before, after = _at(now, "100:100:"), _at(now, later)
            with pytest.raises(ContinuityLost, match="transaction ids"):
                [item async for item in observer.witnesses(before, after)]

    async def test_after_a_wraparound_old_rows_are_not_findings(self, postgres: PostgresWorld) -> None:
        """Old frozen rows look new; more of them than were counted is inconclusive."""
        async with postgres.store() as store:
            observer = PostgresObserver(store, members(), (), flush_s=0.1)
            now = await observer.read()
            xmax = Snapshot.parse(now.position).xmax + 0x1_0000_0000
            before, after = _at(now, f"{xmax - 500}:{xmax - 500}:"), _at(now, f"{xmax}:{xmax}:")
            with pytest.raises(ContinuityLost, match="wrapped around"):
                [item async for item in observer.witnesses(before, after)]


def _at(snapshot: CounterSnapshot, position: str) -> CounterSnapshot:
    return CounterSnapshot.from_json({**snapshot.to_json(), "horizon": position})
