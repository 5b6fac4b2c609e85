"""The second platform: whole, healthy, and breakable."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import psycopg
import pytest

from fixtures.blueprints.second_shape import SecondShape, opened, openim_id
from fixtures.blueprints.second_shape_breaches import BREACHES, plant
from fixtures.blueprints.second_shape_seed import seed
from fixtures.stack import Stack
from fixtures.world import WorldConfig

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def shape(stack: Stack) -> Iterator[SecondShape]:
    """A seeded second platform."""
    with stack.new_world(platform=False) as world:
        yield anyio.run(_seed, world.config)


async def _seed(config: WorldConfig) -> SecondShape:
    return await seed(config, accounts=30)


async def test_it_is_healthy(shape: SecondShape) -> None:
    """Registered accounts, a token and a cached login for each live one, letters older than the move."""
    async with opened(shape.config) as stores:
        assert all((await stores.im.account_check([openim_id(number) for number in shape.live])).values())
        tokens = [key async for key in stores.tokens.scan_iter("imtok/*")]
        assert sorted(tokens) == sorted(f"imtok/{number}" for number in shape.live)
        logins = [key async for key in stores.logins.scan_iter("login/*")]
        assert len(logins) == len(shape.live)
        moved = [thread.thread_no for thread in shape.moved()]
        assert moved
        late = {"thread": {"$in": moved}, "written_ms": {"$gt": shape.moved_ms}}
        assert await stores.letters.count_documents(late) == 0
        assert await stores.letters.count_documents({}) > len(moved)


async def test_the_verifier_may_read_it(shape: SecondShape) -> None:
    """The read-only role reaches both schemas."""
    async with await psycopg.AsyncConnection.connect(shape.config.verifier.user_db) as connection:
        for table in ("people.accounts", "talk.threads"):
            cursor = await connection.execute(f"SELECT count(*) FROM {table}".encode())  # noqa: S608 (two constants)
            assert (await cursor.fetchone() or (0,))[0] > 0


@pytest.mark.parametrize("invariant", sorted(BREACHES))
async def test_each_breach_can_be_planted(shape: SecondShape, invariant: str) -> None:
    """Planting says what it broke."""
    assert await plant(shape, invariant)
