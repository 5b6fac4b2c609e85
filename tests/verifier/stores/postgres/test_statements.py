"""A comparison in SQL passes exactly what the same comparison in Python passes, also at the edges of what times are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import psycopg
import pytest

from fixtures.stack.stack import Stack
from tests.verifier.stores.postgres.world import PostgresWorld, open_postgres_world
from verifier.model.query import Operator, Rows, Where
from verifier.model.values import FOREVER
from verifier.profile.relations import Relation
from verifier.stores.convert import to_logical

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
NUMBERS = (
    None, 0, -1, 1, SECONDS - 5, SECONDS, SECONDS + 5, (SECONDS - 5) * 1000, SECONDS * 1000, (SECONDS + 5) * 1000,
    SECONDS * 10**6, SECONDS * 10**9, 2**63 - 1, 253_402_300_799,
)  # fmt: skip
TIMES = (None, "infinity", "-infinity", "2026-03-01 11:59:55+00", "2026-03-01 12:00:00+00", "2026-03-01 12:00:05+00")


def relation(kind: str, **options: Any) -> Relation:
    """Numbers or times with the given declaration."""
    column = {"column": "t" if kind == "timestamp" else "n", "type": kind, **options}
    return Relation.model_validate(
        {"role": "chat_db", "table": "public.ends", "key": "id", "columns": {"id": "id", "ends": column}}
    )


@pytest.fixture(scope="module")
def ends(stack: Stack) -> Iterator[PostgresWorld]:
    """A table of numbers and times."""
    values = [(number, None) for number in NUMBERS] + [(None, text) for text in TIMES]
    with open_postgres_world(stack.postgres) as world, psycopg.connect(world.grant.chat_db, autocommit=True) as owner:
        owner.execute("CREATE TABLE ends (id int PRIMARY KEY, n bigint, t timestamptz)")
        for index, (number, text) in enumerate(values):
            owner.execute("INSERT INTO ends VALUES (%s, %s, %s::timestamptz)", [index, number, text])
        yield world


@pytest.mark.parametrize("empty", [None, "never", "expired"])
@pytest.mark.parametrize("kind", ["epoch_s", "epoch_ms", "timestamp"])
async def test_sql_and_python_agree(ends: PostgresWorld, kind: str, empty: str | None) -> None:
    """For every operator; also a value that cannot be read passes both."""
    mapped = relation(kind, empty_means=empty)
    async with ends.store() as store:
        whole = [row async for chunk in store.source(mapped, Rows("ends", ("ends",))).chunks() for row in chunk]
        for operator in get_args(Operator):
            if operator in ("in", "is null", "not null"):
                continue
            where = Where("ends", operator, NOW)
            source = store.source(mapped, Rows("ends", ("ends",), (where,)))
            found = {row["id"] async for chunk in source.chunks() for row in chunk}
            expected = {row["id"] for row in whole if where.accepts(row["ends"])}
            # A number that means "for ever" passes like one in a wrong unit, because SQL does not tell them apart.
            far = {row["id"] for row in whole if row["ends"] == FOREVER} if operator in ("<", "<=", "=") else set()
            assert expected <= found <= expected | far, operator
            assert (await source.completeness()).counted == len(found)


def test_a_declaration_for_ends_changes_nothing_elsewhere() -> None:
    """0 is no time, and NULL is no end, in a column that is not one."""
    column = relation("epoch_s").columns["ends"]
    assert to_logical(column, 0) is None
    assert to_logical(column, None) is None
