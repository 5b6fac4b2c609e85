"""Rows that are hidden from the verifier's role: the reading fails, or the source says what may be hidden."""

from __future__ import annotations

import pytest

from tests.verifier.stores.postgres.test_source import keyed, whole
from tests.verifier.stores.postgres.world import PostgresWorld
from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.stores.errors import Denied
from verifier.stores.protocols import Accountable, Completeness

pytestmark = pytest.mark.anyio

TABLE = "CREATE TABLE keyed (k int PRIMARY KEY, n int); INSERT INTO keyed SELECT i, i FROM generate_series(1, 5) i"
POLICY = ("ALTER TABLE keyed ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON keyed USING (k < 5)")
ROWS = Rows("keyed", ("n",))


def owner(postgres: PostgresWorld) -> str:
    """The platform's role, which owns the tables."""
    return postgres.grant.chat_db.partition("//")[2].partition(":")[0]


async def completeness(postgres: PostgresWorld, relation: Relation) -> Completeness:
    """What a source says after a complete reading."""
    async with postgres.store() as store:
        source = store.source(relation, ROWS)
        assert isinstance(source, Accountable)
        rows = await whole(source)
        said = await source.completeness()
        assert said.counted == len(rows)
        return said


async def refused(postgres: PostgresWorld, relation: Relation) -> str:
    """The sentence with which reading, look-up and count are refused."""
    async with postgres.store() as store:
        source = store.source(relation, ROWS)
        with pytest.raises(Denied) as reading:
            await whole(source)
        with pytest.raises(Denied):
            await source.lookup("k", [5])
        with pytest.raises(Denied):
            await source.completeness()
        return str(reading.value)


async def test_a_policy_is_an_error_and_not_fewer_rows(postgres: PostgresWorld) -> None:
    """The sentence names the table and the privilege to give; with that privilege all rows are read."""
    postgres.write(TABLE, *POLICY)
    assert "table keyed has row-level security" in (text := await refused(postgres, keyed("keyed", "k")))
    assert "BYPASSRLS" in text
    role = postgres.grant.verifier_chat_db.partition("//")[2].partition(":")[0]
    postgres.write(f"ALTER ROLE {role} BYPASSRLS", admin=True)
    assert (await completeness(postgres, keyed("keyed", "k"))).counted == 5


@pytest.mark.parametrize("more", [(), ("ALTER TABLE keyed FORCE ROW LEVEL SECURITY",)], ids=["owner", "forced"])
async def test_a_policy_below_views_and_for_the_owner(postgres: PostgresWorld, more: tuple[str, ...]) -> None:
    """A view reads as its owner. Policies do not apply to the table's owner unless they are forced."""
    postgres.write(TABLE, *POLICY, *more)
    postgres.write("CREATE VIEW seen AS SELECT * FROM keyed", "CREATE VIEW above AS SELECT * FROM seen")
    relations = [keyed("above", "k"), Relation.model_validate({**keyed("above", "k").model_dump(), "table": None, "select": "SELECT * FROM above"})]  # fmt: skip
    for relation in relations:
        if more:
            await refused(postgres, relation)
        else:
            said = await completeness(postgres, relation)
            assert (said.counted, said.hidden) == (5, ())
            assert said.unseen == ("rows that view above leaves out", "rows that view seen leaves out")


async def test_a_view_with_the_rights_of_who_asks(postgres: PostgresWorld) -> None:
    """`security_invoker`: the policies for the verifier's role apply below the view."""
    postgres.write(TABLE, *POLICY, "CREATE VIEW seen WITH (security_invoker) AS SELECT * FROM keyed")
    await refused(postgres, keyed("seen", "k"))


async def test_a_definer_that_is_filtered(postgres: PostgresWorld) -> None:
    """The view's owner is another role, for which the policy hides rows."""
    other = owner(postgres) + "_other"
    postgres.write(f"CREATE ROLE {other}", f"GRANT {other} TO {owner(postgres)}", admin=True)
    try:
        postgres.write(
            TABLE, *POLICY, f"GRANT SELECT ON keyed TO {other}", f"GRANT CREATE ON SCHEMA public TO {other}",
            "CREATE VIEW seen AS SELECT * FROM keyed", f"ALTER VIEW seen OWNER TO {other}",
            admin=True,
        )  # fmt: skip
        verifier = postgres.grant.verifier_chat_db.partition("//")[2].partition(":")[0]
        postgres.write(f"GRANT SELECT ON seen TO {verifier}", admin=True)
        await refused(postgres, keyed("seen", "k"))
    finally:
        postgres.write(f"DROP OWNED BY {other} CASCADE", f"DROP ROLE {other}", admin=True)


@pytest.mark.parametrize("more", [("CREATE POLICY every ON keyed USING (true)",), ()], ids=["permits all", "none"])
async def test_policies_on_partitions_and_children(postgres: PostgresWorld, more: tuple[str, ...]) -> None:
    """A policy on the parent refuses; one on a partition does not apply to reading through the parent."""
    postgres.write(
        "CREATE TABLE keyed (k int, n int) PARTITION BY LIST (k)",
        "CREATE TABLE one PARTITION OF keyed FOR VALUES IN (1)",
        "CREATE TABLE rest PARTITION OF keyed DEFAULT",
        "INSERT INTO keyed SELECT i, i FROM generate_series(1, 5) i",
        "ALTER TABLE one ENABLE ROW LEVEL SECURITY",
    )
    assert (await completeness(postgres, keyed("keyed", "k"))).counted == 5
    postgres.write("ALTER TABLE keyed ENABLE ROW LEVEL SECURITY", *more)
    await refused(postgres, keyed("keyed", "k"))


@pytest.mark.parametrize(
    ("view", "why"),
    [
        ("VIEW seen AS SELECT * FROM keyed WHERE current_user <> 'x' OR k < 5", "depends on who asks"),
        ("VIEW seen AS SELECT * FROM keyed WHERE coalesce(current_setting('app.user', true), '') = ''", "who asks"),
        ("VIEW seen AS SELECT * FROM keyed WHERE pg_has_role('pg_read_all_data', 'MEMBER') OR true", "who asks"),
        ("VIEW seen AS SELECT * FROM keyed ORDER BY k LIMIT 3", "only some of its rows"),
        ("VIEW seen AS SELECT * FROM keyed TABLESAMPLE system (100)", "only some of its rows"),
        ("MATERIALIZED VIEW seen AS SELECT * FROM keyed", "materialized view"),
    ],
)
async def test_a_view_that_hides_rows_is_named(postgres: PostgresWorld, view: str, why: str) -> None:
    """Home-made row-level security, cut results and stale copies; also one view below another."""
    postgres.write(TABLE, f"CREATE {view}", "CREATE VIEW above AS SELECT k, n FROM seen")
    for name in ("seen", "above"):
        said = await completeness(postgres, keyed(name, "k"))
        assert len(said.hidden) == 1
        assert why in said.hidden[0]
        assert "seen" in said.hidden[0]


async def test_a_view_that_filters_is_part_of_the_coverage(postgres: PostgresWorld) -> None:
    """An ordinary view, such as one for live sessions, does not make a proof inconclusive."""
    postgres.write(TABLE, "CREATE VIEW seen AS SELECT k, n FROM keyed WHERE n > 2")
    said = await completeness(postgres, keyed("seen", "k"))
    assert said == Completeness(3, (), ("rows that view seen leaves out",))


async def test_a_plain_table_hides_nothing(postgres: PostgresWorld) -> None:
    """Also with children, whose rows are read."""
    postgres.write(TABLE, "CREATE TABLE child () INHERITS (keyed)", "INSERT INTO child VALUES (6, 6)")
    assert await completeness(postgres, keyed("keyed", "k")) == Completeness(6)


async def test_more_rows_without_a_key_than_are_read(postgres: PostgresWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not silently left out."""
    monkeypatch.setattr("verifier.stores.postgres.source.NO_KEY_MAX", 5)
    postgres.write("CREATE TABLE keyed (k int, n int)", "INSERT INTO keyed SELECT NULL, i FROM generate_series(1, 8) i")
    async with postgres.store() as store:
        source = store.source(keyed("keyed", "k"), ROWS)
        assert len(await whole(source)) == 5
        said = await source.completeness()
        assert said.counted == 8
        assert "more than 5 rows without a key" in said.hidden[0]
