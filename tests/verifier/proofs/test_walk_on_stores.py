"""Walks on real servers: suspects under keys of all types, and partners in stores that keep the same ids in other types."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from bson import Binary, Decimal128, ObjectId
from bson.binary import UuidRepresentation

from fixtures.stack.stack import Stack
from tests.verifier.proofs.world import World, keys
from tests.verifier.stores.mongo.world import MongoWorld, open_mongo_world
from tests.verifier.stores.postgres.world import PostgresWorld, open_postgres_world
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows, Where
from verifier.model.verdict import Judgement, Verdict
from verifier.profile.relations import Relation
from verifier.proofs import Reconcile, Rule
from verifier.proofs.reconcile import must_exist
from verifier.stores.pool import with_filters

pytestmark = pytest.mark.anyio

OID = "65f0c0ffee65f0c0ffee65f0"
UUID = "0b5e7b6e-3f0a-4d57-9c3e-0a5f8c1d2e3f"


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


@pytest.fixture(scope="module")
def sql(stack: Stack) -> Iterator[PostgresWorld]:
    """A database for all tests of the module."""
    with open_postgres_world(stack.postgres) as world:
        yield world


@pytest.fixture
def documents(stack: Stack) -> Iterator[MongoWorld]:
    """An empty database."""
    with open_mongo_world(stack.mongo) as world:
        yield world


def table(sql: PostgresWorld, types: str, *rows: tuple[Any, ...]) -> None:
    """Make table `records` anew."""
    with psycopg.connect(sql.grant.chat_db, autocommit=True) as owner:
        owner.execute("DROP TABLE IF EXISTS records")
        owner.execute(f"CREATE TABLE records ({types})")
        for row in rows:
            owner.execute(f"INSERT INTO records VALUES ({', '.join(['%s'] * len(row))})", row)  # noqa: S608 - placeholders


def records(key: str | tuple[str, ...] = "id", **columns: Any) -> Relation:
    """Table `records` as a relation."""
    names = (key,) if isinstance(key, str) else key
    mapped: dict[str, Any] = {name: name for name in names} | {"bad": {"column": "bad", "type": "boolean"}} | columns
    return Relation.model_validate({"role": "chat_db", "table": "public.records", "key": key, "columns": mapped})


def judge(row: Row) -> Problem | None:
    """Records with `bad` are problems."""
    return Problem(summary="bad", expected="good", actual="bad") if row["bad"] else None


RULE = Rule(subject=Rows("records", ("bad",)), judge=judge, unit="records")


@asynccontextmanager
async def rule_world(sql: PostgresWorld, relation: Relation, rows: Rows = RULE.subject) -> AsyncIterator[World]:
    """A world with this table."""
    async with sql.store() as store:
        yield World(records=store.source(relation, rows))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("char(12)", "a", "b"),
        ("bytea", b"a", b"\xff\x00"),
        ("float8", 1.5, 0.1),
        ("float4", 1.5, 0.1),
        ("numeric(10,2)", "1.10", "2.50"),
        ("timestamptz", "2026-01-01 00:00:00+00", "2026-03-01 12:00:00.123456+02"),
        ("uuid", "378b0d33-1c75-4a62-8a30-b8f887201493", UUID),
        ("text", "a", "e\u0301:@ b"),
        ("text", "a", None),
        ("jsonb", '{"a": 1}', '{"b": [1.0]}'),
    ],
)
async def test_a_suspect_is_confirmed_and_rechecked(sql: PostgresWorld, kind: str, good: Any, bad: Any) -> None:
    """Whatever the type of the key is, and also without one."""
    table(sql, f"id {kind}, bad bool", (good, False), (bad, True))
    async with rule_world(sql, records()) as world:
        judgement = await world.run(RULE)
        assert judgement.findings_total == 1, judgement
        again = await world.run(RULE, only_key=judgement.findings[0].raw_key)
        assert [item.raw_key for item in again.findings] == [judgement.findings[0].raw_key]


async def test_a_composite_key_of_several_types(sql: PostgresWorld) -> None:
    """The other columns of the key are compared too, and one of them may be NULL."""
    table(
        sql,
        "a uuid, b timestamptz, bad bool",
        (UUID, "2026-01-01 00:00+00", False),
        (UUID, "2026-01-02 00:00+00", True),
        (UUID, None, True),
    )
    async with rule_world(sql, records(("a", "b"))) as world:
        assert (await world.run(RULE)).findings_total == 2


async def test_texts_that_are_no_booleans_are_not_false(sql: PostgresWorld) -> None:
    """`active` is not false: without `true_values` the check is inconclusive and names the value; with it, it finds."""
    table(sql, "id int, bad text", (1, "active"), (2, "banned"))
    async with rule_world(sql, records()) as world:
        judgement = await world.run(RULE)
        assert judgement.verdict is Verdict.INCONCLUSIVE
        assert "'active'" in judgement.reason
        assert "true_values" in judgement.reason
    declared = records(bad={"column": "bad", "type": "boolean", "true_values": ["active"]})
    async with rule_world(sql, declared) as world:
        assert keys(await world.run(RULE)) == ["1"]


@pytest.mark.parametrize(("declared", "stored"), [("epoch_s", 1_900_000_000_000), ("epoch_ms", 1_900_000_000)])
async def test_a_wrong_unit_is_not_green(sql: PostgresWorld, declared: str, stored: int) -> None:
    """A filter on the time must not make the relation look empty, or every record live."""
    table(sql, "id int, bad bool, ends bigint", (1, False, stored))
    relation = records(expires_at={"column": "ends", "type": declared})
    rows = Rows("records", ("bad",), (Where("expires_at", ">", datetime.now(UTC)),))
    async with rule_world(sql, relation, with_filters(rows)) as world:
        judgement = await world.run(Rule(subject=rows, judge=judge, unit="records"))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "the unit looks wrong" in judgement.reason


ACCOUNT = Relation.model_validate(
    {"role": "chat_mongo", "collection": "accounts", "key": "id", "columns": {"id": "_id", "user": "user"}}
)


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "found"),
    [
        ("bigint", 7, 7, True), ("bigint", 7, 7.0, True), ("bigint", 7, "7", True), ("bigint", 7, Decimal128("7"), True),
        ("bigint", 7, "007", False), ("text", "007", 7, False), ("text", "7", 7, True),
        ("bigint", 2**53 + 1, float(2**53), False), ("bigint", 2**60, float(2**60), True),
        ("uuid", UUID, UUID, True), ("uuid", UUID, uuid.UUID(UUID), True), ("uuid", UUID, UUID.upper(), False),
        ("text", OID, ObjectId(OID), True), ("text", OID, OID, True),
        ("char(12)", "bob", "bob", True), ("text", "bob", "Bob", False), ("text", "é", "e\u0301", False),
        ("text", "a:b@c d", "a:b@c d", True), ("numeric(10,2)", "1.50", Decimal128("1.5"), True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("direction", ["table to documents", "documents to table"])
async def test_partners_of_other_types(
    sql: PostgresWorld, documents: MongoWorld, kind: str, ours: Any, theirs: Any, found: bool, direction: str
) -> None:
    """They match if both stores would say that they are equal, in either direction."""
    table(sql, f"id {kind}, bad bool", (ours, False))
    documents.database["accounts"].insert_one({"_id": 1, "user": theirs})
    sides = (Rows("records", ("id",)), Rows("accounts", ("user",)))
    on = ("id", "user")
    if direction == "documents to table":
        sides, on = (sides[1], sides[0]), ("user", "id")
    proof = Reconcile(
        subject=sides[0], against=sides[1], on=on, judge=must_exist("no partner", expected="one", next_step=""),
    )  # fmt: skip
    judgement = await _reconciled(sql, documents, proof)
    assert judgement.verdict is (Verdict.HOLDS if found else Verdict.VIOLATED), judgement


@pytest.mark.parametrize("direction", ["table to documents", "documents to table"])
async def test_a_uuid_of_an_old_driver_accuses_nobody(
    sql: PostgresWorld, documents: MongoWorld, direction: str
) -> None:
    """Which UUID it is depends on the driver that wrote it."""
    table(sql, "id uuid, bad bool", (UUID, False))
    old = Binary.from_uuid(uuid.UUID(UUID), UuidRepresentation.CSHARP_LEGACY)
    documents.database["accounts"].insert_one({"_id": 1, "user": old})
    sides, on = (Rows("records", ("id",)), Rows("accounts", ("user",))), ("id", "user")
    if direction == "documents to table":
        sides, on = (sides[1], sides[0]), ("user", "id")
    missing = must_exist("no partner", expected="one", next_step="")
    proof = Reconcile(subject=sides[0], against=sides[1], on=on, judge=missing)
    assert (await _reconciled(sql, documents, proof)).verdict is Verdict.INCONCLUSIVE


async def _reconciled(sql: PostgresWorld, documents: MongoWorld, proof: Reconcile) -> Judgement:
    async with sql.store() as tables, documents.store() as collections:
        world = World(
            records=tables.source(records(), Rows("records", ("id",))),
            accounts=collections.source(ACCOUNT, Rows("accounts", ("user",))),
        )
        return await world.run(proof)
