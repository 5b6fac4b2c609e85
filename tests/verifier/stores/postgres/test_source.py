"""Records are read completely and found again, whatever the type of their key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from tests.verifier.stores.postgres.world import PostgresWorld
from verifier.model.invariant import Row
from verifier.model.query import Rows, Where
from verifier.model.values import FOREVER, LONG_AGO
from verifier.profile.relations import Relation
from verifier.profile.roles import PostgresRole
from verifier.stores.postgres.source import PostgresSource
from verifier.stores.postgres.store import PostgresStore

pytestmark = pytest.mark.anyio

KEYS = {
    "char(12)": ["'ab'", "'abc'", "'abcdefghijkl'"],
    "varchar(20)": ["'x'", "'X'", "'x '", "'é'", "''"],
    "text": ["'it''s'", "'a\"b'", "'{a,b}'", "'a\\b'", "'100%'", "'None'"],
    "name": ["'n1'", "'n2'"],
    '"char"': ["'a'", "'b'"],
    "timestamptz": ["'2026-01-01 00:00:00.000001+08'", "'2026-01-01'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12026-01-01'"],
    "timestamp": ["'2026-01-01 10:00:00.5'", "'infinity'", "'-infinity'", "'0044-03-15 10:00:00 BC'", "'12026-01-01'", "'0001-01-01'"],
    "date": ["'2026-01-01'", "'infinity'", "'0044-03-15 BC'", "'12026-01-01'"],
    "bytea": ["'\\x00ff'", "'text'", "'\\x5c7836'", "''", "'\\x80'"],
    "float4": ["0.1", "'NaN'", "'infinity'", "'-infinity'", "1e-20", "16777216"],
    "float8": ["0.1", "1/3.0::float8", "'NaN'", "'infinity'", "1e300", "-0.5"],
    "numeric": ["1.00", "2.5", "'NaN'", "123456789012345678901234567890.5", "1e-20"],
    "bool": ["true", "false"],
    "uuid": ["'00000000-0000-0000-0000-00000000000a'", "'ffffffff-0000-0000-0000-000000000000'"],
    "mood": ["'happy'", "'sad'"],
    "smallint": ["-5", "32767"],
    "int": ["1", "2147483647"],
    "bigint": ["9223372036854775807", "-9223372036854775808"],
    "oid": ["1", "4294967295"],
    "text[]": ["'{a,b}'", "'{}'", "'{\"x y\",NULL}'"],
    "int[]": ["'{1,2}'", "'{3}'"],
    "mood[]": ["'{happy}'", "'{sad,happy}'"],
    "json": ["'{\"a\": 1}'", "'[1,2]'"],
    "jsonb": ["'{\"a\": 1}'", "'[1, 2]'", "'null'"],
    "pair": ["'(1,a)'", "'(2,\"b c\")'"],
    "positive": ["7", "8"],
    "shout": ["'A'", "'B'"],
    "inet": ["'10.0.0.1'", "'10.0.0.0/8'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "interval": ["'1 month'", "'-5 days 03:00'"],
    "time": ["'24:00:00'", "'10:00'"],
    "money": ["'12.50'", "'1000'"],
    "int4range": ["'[1,5)'", "'empty'"],
    "bit(4)": ["'1010'", "'0001'"],
    "point": ["'(1,2)'", "'(3,4)'"],
    "\"Odd Type\"": ["'one'", "'two'"],
}  # fmt: skip
"""Some keys of each type. Their order does not matter."""
UNFIT = ["nonsense", "a\x00b", "99999999999999999999999", "'", "{}", "1e999", "2026-99-99", "\ud800", "", "NULL", "10000-01-01"]  # fmt: skip
TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE "Odd Type" AS ENUM ('two', 'one');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN shout AS varchar(5) CHECK (VALUE = upper(VALUE));
"""


def keyed(place: str, *key: str, types: dict[str, str] | None = None, **changes: Any) -> Relation:
    """A relation of some key columns, and column `n`."""
    columns: dict[str, Any] = {
        name: {"column": name, "type": {"n": "integer", **(types or {})}.get(name, "text")} for name in (*key, "n")
    }
    base = {"role": "chat_db", "table": f"public.{place}", "key": key, "columns": columns}
    return Relation.model_validate({**base, **changes})


def insert(values: Iterable[object]) -> list[str]:
    """A statement for each key."""
    return [f"INSERT INTO keyed (k) VALUES ({value})" for value in values]  # noqa: S608 - ours


def small_chunks(store: PostgresStore, rows: int = 3) -> None:
    """Let the store read so few rows at once."""
    store.config = store.config.model_copy(update={"chunk_rows": rows})


async def whole(source: PostgresSource, after: str | None = None) -> list[Row]:
    """All records."""
    return [row async for chunk in source.chunks(after) for row in chunk]


@pytest.mark.parametrize("kind", KEYS)
async def test_a_key_of_any_type_is_found_again(postgres: PostgresWorld, kind: str) -> None:
    """What the scan delivers, a look-up by the same value finds, also beside values that do not fit the type."""
    postgres.write(TYPES, f"CREATE TABLE keyed (k {kind}, n serial)")
    postgres.write(*insert(KEYS[kind]))
    relation = keyed("keyed", "k")
    async with postgres.store() as store:
        small_chunks(store, 2)
        source = store.source(relation, Rows("keyed", ("n",)))
        rows = await whole(source)
        assert len(rows) == len(KEYS[kind])
        assert len({row["n"] for row in rows}) == len(rows)
        assert all(isinstance(row["k"], str) for row in rows)
        for row in rows:
            found = await source.lookup("k", [row["k"]])
            assert row["n"] in {item["n"] for item in found}, row
            assert row["k"] in {item["k"] for item in found}
        together = await source.lookup("k", [*UNFIT, *(row["k"] for row in rows)])
        assert {item["n"] for item in together} >= {row["n"] for row in rows}
        assert len(await source.lookup("k", UNFIT)) <= (kind in ("varchar(20)", "text[]", "bytea"))


@pytest.mark.parametrize("kind", KEYS)
async def test_reading_continues_behind_a_key_of_any_type(postgres: PostgresWorld, kind: str) -> None:
    """An interrupted reading is resumed at its position and misses nothing."""
    postgres.write(TYPES, f"CREATE TABLE keyed (k {kind}, n serial)")
    postgres.write(*insert(KEYS[kind]))
    async with postgres.store() as store:
        small_chunks(store, 1)
        relation = keyed("keyed", "k")
        first = store.source(relation, Rows("keyed", ("n",)))
        read: list[Row] = []
        async for chunk in first.chunks():
            read += chunk
            break
        read += await whole(store.source(relation, Rows("keyed", ("n",))), first.position)
        assert sorted(row["n"] for row in read) == list(range(1, len(KEYS[kind]) + 1))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("char(12)", "lpad(n::text, 4, '0')"),
        ("varchar(20)", "'u' || n"),
        ("timestamptz", "'2026-01-01'::timestamptz + n * interval '1 s'"),
        ("timestamp", "'2026-01-01'::timestamp + n * interval '1 s'"),
        ("numeric", "n / 4.0"),
        ("smallint", "n"),
        ("uuid", "('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid"),
    ],
)
async def test_look_ups_use_the_index(postgres: PostgresWorld, kind: str, values: str) -> None:
    """The column is compared as it is, not as text."""
    postgres.write(
        f"CREATE TABLE keyed (k {kind} PRIMARY KEY, n int)",
        f"INSERT INTO keyed SELECT {values}, n FROM generate_series(1, 5000) AS n",  # noqa: S608 - ours
        "ANALYZE keyed",
    )
    async with postgres.store() as store:
        source = store.source(keyed("keyed", "k"), Rows("keyed", ("n",)))
        rows = await whole(source)
        assert len(rows) == 5000
        assert len(await source.lookup("k", [row["k"] for row in rows[:20]])) == 20
        sql = source._sql.equal(await source._types(), "k")
    values_of = "{" + ",".join(f'"{row["k"]}"' for row in rows[:20]) + "}"
    with psycopg.connect(postgres.grant.chat_db) as connection:
        plan = connection.execute("EXPLAIN " + sql, {"values": values_of}).fetchall()
    assert any("Index Cond" in line[0] for line in plan), plan


# -- NULL, duplicates and order --


async def test_rows_without_a_key_are_read(postgres: PostgresWorld) -> None:
    """NULL in a key column, in one of two or in the only one, is read like any other value and counted."""
    postgres.write(
        "CREATE TABLE keyed (a text, b int, n serial)",
        "INSERT INTO keyed (a, b) SELECT 'a' || i, i FROM generate_series(1, 8) i",
        "INSERT INTO keyed (a, b) VALUES ('a3', NULL), (NULL, 4), (NULL, NULL), ('zz', NULL)",
    )
    async with postgres.store() as store:
        small_chunks(store)
        source = store.source(keyed("keyed", "a", "b"), Rows("keyed", ("n",)))
        rows = await whole(source)
        assert sorted(row["n"] for row in rows) == list(range(1, 13))
        assert (await source.completeness()).counted == 12
        assert sorted(row["n"] for row in await source.lookup("a", [None, "a1"])) == [1, 10, 11]
        assert source.position is not None
        assert await whole(store.source(keyed("keyed", "a", "b"), Rows("keyed", ("n",))), source.position) == []


async def test_a_primary_key_has_no_rows_without_a_key(postgres: PostgresWorld) -> None:
    """Where the server guarantees it, they are not searched for."""
    async with postgres.store() as store:
        relation = Relation.model_validate({"role": "chat_db", "table": "public.members", "key": "id", "columns": {"id": "id"}})  # fmt: skip
        assert len(await whole(store.source(relation, Rows("members")))) == 40
        assert not any("IS NULL" in line for line in store.statement_log.lines)


async def test_equal_keys_at_the_end_of_a_chunk_are_all_read(postgres: PostgresWorld) -> None:
    """The key of the profile may not be unique: children of a table, views, or a collation for which letters are equal."""
    postgres.write(
        "CREATE TABLE keyed (k int PRIMARY KEY, n serial)",
        "CREATE TABLE child () INHERITS (keyed)",
        "INSERT INTO keyed (k) SELECT i FROM generate_series(1, 9) i",
        "INSERT INTO child (k) SELECT i FROM generate_series(1, 9) i, generate_series(1, 3)",
    )
    async with postgres.store() as store:
        small_chunks(store, 2)
        source = store.source(keyed("keyed", "k"), Rows("keyed", ("n",)))
        rows = await whole(source)
        assert sorted(row["n"] for row in rows) == list(range(1, 37))
        assert (await source.completeness()).counted == 36


async def test_logical_names_do_not_change_the_order(postgres: PostgresWorld) -> None:
    """A logical name that is another column's real name is not what the rows are ordered by."""
    postgres.write(
        "CREATE TABLE keyed (k int PRIMARY KEY, other int)",
        "INSERT INTO keyed SELECT i, 1000 - i FROM generate_series(1, 50) i",
    )
    columns = {"id": {"column": "k", "type": "integer"}, "k": {"column": "other", "type": "integer"}}
    for place in ({"table": "public.keyed"}, {"select": "SELECT k, other FROM keyed WHERE k % 1 = 0"}):
        relation = Relation.model_validate({"role": "chat_db", "key": "id", "columns": columns, **place})
        async with postgres.store() as store:
            small_chunks(store, 7)
            assert [row["id"] for row in await whole(store.source(relation, Rows("keyed", ("k",))))] == list(
                range(1, 51)
            )


async def test_partitions_and_children_are_counted_under_the_same_conditions(postgres: PostgresWorld) -> None:
    """`where` of the relation and of the check apply to the count as to the reading."""
    postgres.write(
        "CREATE TABLE keyed (k int, n int, state text) PARTITION BY RANGE (k)",
        "CREATE TABLE low PARTITION OF keyed FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE rest PARTITION OF keyed DEFAULT",
        "INSERT INTO keyed SELECT i, i, CASE WHEN i % 2 = 0 THEN 'on' ELSE 'off' END FROM generate_series(1, 30) i",
    )
    async with postgres.store() as store:
        small_chunks(store, 4)
        relation = keyed("keyed", "k", types={"n": "integer"}, where="state = 'on' OR k % 3 = 0")
        for where, expected in (((), 20), ((Where("n", ">", 15),), 10), ((Where("n", "in", [2, 3, 99]),), 2)):
            source = store.source(relation, Rows("keyed", ("n",), where))
            assert len(await whole(source)) == expected
            assert (await source.completeness()).counted == expected


# -- times --


async def test_times_beyond_python_do_not_sink_the_reading(postgres: PostgresWorld) -> None:
    """`infinity` and years that Python lacks are the first and last time, in every kind of time column."""
    for kind in ("timestamptz", "timestamp", "date"):
        postgres.write(
            f"CREATE TABLE moments_{kind} (k int PRIMARY KEY, n {kind})",
            f"INSERT INTO moments_{kind} VALUES (1, 'infinity'), (2, '-infinity'), (3, '0044-03-15 BC'), (4, '12026-01-01'), "  # noqa: S608 - ours
            "(5, '2026-01-02'), (6, NULL)",
        )
        relation = keyed(f"moments_{kind}", "k", types={"n": "timestamp", "k": "integer"})
        async with postgres.store() as store:
            rows = await whole(store.source(relation, Rows("moments", ("n",))))
            assert {row["k"]: row["n"] for row in rows} == {
                1: FOREVER, 2: LONG_AGO, 3: LONG_AGO, 4: FOREVER, 5: datetime(2026, 1, 2, tzinfo=UTC), 6: None,
            }  # fmt: skip
            later = Rows("moments", ("n",), (Where("n", ">", datetime(2026, 1, 1, tzinfo=UTC)),))
            assert {row["k"] for row in await whole(store.source(relation, later))} == {1, 4, 5}
            found = await store.source(relation, Rows("moments", ("n",))).lookup("n", [FOREVER])
            assert {row["k"] for row in found} >= {1}


@pytest.mark.parametrize(("unit", "kind"), [("epoch_s", "bigint"), ("epoch_ms", "bigint"), ("epoch_s", "numeric")])
async def test_epochs_are_found_again_exactly(postgres: PostgresWorld, unit: str, kind: str) -> None:
    """No millisecond is lost on the way to a logical time and back."""
    factor = 1 if unit == "epoch_s" else 1000
    values = [1_700_000_000 * factor + step for step in (0, 1, 123, 999)]
    postgres.write(f"CREATE TABLE keyed (k {kind}, n serial)")
    postgres.write(*insert(values))
    async with postgres.store() as store:
        source = store.source(keyed("keyed", "k", types={"k": unit}), Rows("keyed", ("n",)))
        for row in await whole(source):
            assert [item["n"] for item in await source.lookup("k", [row["k"]])] == [row["n"]]


def with_zone(postgres: PostgresWorld, zone: str | None) -> PostgresRole:
    """The verifier's role with a zone for naive times."""
    return PostgresRole.model_validate({"url": postgres.grant.verifier_chat_db, "timestamp_zone": zone})


@pytest.mark.parametrize("of", ["DATABASE", "ROLE"])
async def test_naive_times_are_read_in_their_zone(postgres: PostgresWorld, of: str) -> None:
    """Where the platform's sessions have another zone, a live session is live; without a statement of the zone nothing is
    said."""
    database = postgres.grant.chat_db.rpartition("/")[2]
    role = postgres.grant.chat_db.partition("//")[2].partition(":")[0]
    postgres.write(f"ALTER {of} {database if of == 'DATABASE' else role} SET TimeZone = 'Asia/Shanghai'", admin=True)
    postgres.write("CREATE TABLE sessions (k int PRIMARY KEY, n timestamp)")
    postgres.write("INSERT INTO sessions VALUES (1, now() + interval '1 hour'), (2, now() - interval '1 hour')")
    now = datetime.now(UTC)
    live = Rows("sessions", ("n",), (Where("n", ">", now),))
    relation = keyed("sessions", "k", types={"n": "timestamp"})
    for zone, expected in (("Asia/Shanghai", {"1"}), ("UTC", {"1", "2"})):
        store = PostgresStore("chat_db", with_zone(postgres, zone))
        await store.connect()
        rows = await whole(store.source(relation, live))
        assert {row["k"] for row in rows} == expected
        if zone != "UTC":
            assert abs((rows[0]["n"] - now).total_seconds() - 3600) < 60
        await store.close()
    own = relation.model_copy(deep=True)
    own.columns["n"] = own.columns["n"].model_copy(update={"zone": "Asia/Shanghai"})
    async with postgres.store() as store:
        with pytest.raises(Exception, match=r"no time zone.*Asia/Shanghai.*timestamp_zone"):
            await whole(store.source(relation, live))
        with pytest.raises(Exception, match="no time zone"):
            await store.source(relation, Rows("sessions", ("n",))).lookup("k", [1])
        assert {row["k"] for row in await whole(store.source(own, live))} == {"1"}
        shown = Rows("sessions", ("n",), (Where("n", "not null"),))
        assert len(await whole(store.source(relation, shown))) == 2
        assert len(await whole(store.source(keyed("sessions", "k"), Rows("sessions", ())))) == 2
