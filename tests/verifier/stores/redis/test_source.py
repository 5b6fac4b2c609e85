"""Keys of any bytes, values of any kind, other database indexes, ACL patterns: read, or said to be hidden, never absent."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.verifier.stores.redis.reading import connected, read, source_of, tokens
from tests.verifier.stores.redis.world import RedisWorld
from verifier.profile.relations import Relation
from verifier.stores.errors import Denied, PartialAnswer, StoreError

pytestmark = [pytest.mark.long, pytest.mark.anyio]

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJVc2VySUQiOiJ1In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
PRESENCE = Relation.model_validate(
    {
        "role": "cache_redis",
        "keys": "presence:{user_id}",
        "key": "user_id",
        "columns": {"user_id": "{user_id}", "ttl_ms": "@ttl_ms"},
    }
)


def acl(world: RedisWorld, *rules: str) -> tuple[str, ...]:
    """The command that changes the rights of the world's verifier."""
    return ("ACL", "SETUSER", world.grant.verifier.split("//")[1].split(":")[0], *rules)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"a\xffb", b"\x00", b"\\xff", b"plain", "\u00e9".encode()])
async def test_any_key_is_found_again(redis_world: RedisWorld, raw: bytes) -> None:
    """By the id that was read from it, and by its name; both can be printed and stored."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.set(b"im:token:" + raw, JWT)
        source = source_of(store, "token", "name")
        rows = [row async for chunk in source.chunks() for row in chunk]
        assert [row["token"] for row in rows] == [JWT]
        again = await source.lookup("user_id", [rows[0]["user_id"]])
        by_name = await source.lookup("name", [rows[0]["name"]])
    assert again == by_name == rows
    assert json.loads(json.dumps(dict(rows[0])).encode().decode()) == rows[0]
    assert str(rows[0]).encode()


READABLE: dict[str, bytes] = {
    "plain": JWT.encode(),
    "JSON string": json.dumps(JWT).encode(),
    "Java string": b"\xac\xed\x00\x05t" + len(JWT).to_bytes(2, "big") + JWT.encode(),
    "MessagePack": b"\xd9" + bytes([len(JWT)]) + JWT.encode(),
    "gzip": gzip.compress(JWT.encode()),
}


@pytest.mark.parametrize("kind", READABLE)
async def test_values_are_read_through_wrappings(redis_world: RedisWorld, kind: str) -> None:
    """The token is the text inside, and nothing is hidden."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.set("im:token:u", READABLE[kind])
        source = source_of(store, "token")
        rows = [row async for chunk in source.chunks() for row in chunk]
        said = await source.completeness()
    assert [row["token"] for row in rows] == [JWT]
    assert said.hidden == ()


async def _list(admin: Any) -> None:
    await admin.rpush("im:token:odd", JWT)


UNREADABLE: dict[str, Any] = {
    "bytes": lambda admin: admin.set("im:token:odd", b"\xff\xfe"),
    "a hash": lambda admin: admin.hset("im:token:odd", "5", JWT),
    "a list": _list,
    "a sorted set": lambda admin: admin.zadd("im:token:odd", {JWT: 1}),
    "a stream": lambda admin: admin.xadd("im:token:odd", {"a": 1}),
}


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_is_not_text_is_hidden_and_unanswered(redis_world: RedisWorld, kind: str) -> None:
    """It is no record without a token; where only the key matters, it is an ordinary record."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.set("im:token:fine", JWT)
        await UNREADABLE[kind](admin)
        with_values, keys_alone = source_of(store, "token"), source_of(store)
        found, said = await read(with_values)
        with pytest.raises(PartialAnswer) as partial:
            await with_values.lookup("user_id", ["fine", "odd", "none"])
        assert await read(keys_alone) == (["fine", "odd"], (await keys_alone.completeness()))
        assert (await keys_alone.completeness()).hidden == ()
    assert found == ["fine"]
    assert [text.partition(" keys")[0] for text in said.hidden] == ["1"]
    assert (partial.value.unanswered, len(partial.value.rows)) == (["odd"], 1)


async def test_keys_that_the_acl_hides_are_counted(redis_world: RedisWorld) -> None:
    """SCAN shows names that nobody may read: those keys exist, and their values are unknown."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.mset({"im:token:a1": JWT, "im:token:b1": JWT})
        await admin.execute_command(*acl(redis_world, "resetkeys", "%R~im:token:a*"))
        source = source_of(store, "token")
        found, said = await read(source)
        with pytest.raises(PartialAnswer) as partial:
            await source.lookup("user_id", ["a1", "b1"])
        await admin.execute_command(*acl(redis_world, "resetkeys", "%R~other:*"))
        with pytest.raises(Denied, match="read none of them"):
            await read(source_of(store, "token"))
    assert found == ["a1"]
    assert any("ACL user has no access" in text for text in said.hidden)
    assert partial.value.unanswered == ["b1"]


async def test_other_indexes_are_named(redis_world: RedisWorld) -> None:
    """An ordinary relation is in the role's index; the coverage says which others have keys."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.set("im:token:here", JWT)
        await _in_index(redis_world, 400, lambda client: client.set("im:token:there", JWT))
        found, said = await read(source_of(store))
        await _in_index(redis_world, 400, lambda client: client.flushdb())
    assert found == ["here"]
    assert any("400" in text for text in said.unseen)
    assert said.hidden == ()


async def test_everywhere_reads_all_indexes_prefixes_and_wrappings(redis_world: RedisWorld) -> None:
    """Each is a record with its place; declared foreign keys are none."""
    async with redis_world.client() as admin, redis_world.store() as store:
        store.foreign_keys = ("shop:*", "db401:*", "embedded-stack:*")
        for key in (
            "presence:u1",
            b"\xac\xed\x00\x05t\x00\x0bpresence:u2",
            '"presence:u3"',
            "app1:presence:u4",
            "shop:presence:u5",
        ):
            await admin.set(key, 1)
        await _in_index(redis_world, 400, lambda client: client.set("presence:u6", 1))
        await _in_index(redis_world, 401, lambda client: client.set("presence:u7", 1))
        source = source_of(store, "ttl_ms", relation=PRESENCE, everywhere=True)
        rows = {row["user_id"]: row async for chunk in source.chunks() for row in chunk}
        again = await source.lookup("user_id", ["u2", "u6", "u7"])
        for index in (400, 401):
            await _in_index(redis_world, index, lambda client: client.flushdb())
    assert sorted(rows) == ["u1", "u2", "u3", "u4", "u6"]
    assert sorted(row["user_id"] for row in again) == ["u2", "u6"]
    assert "@place" not in rows["u1"]
    assert rows["u6"]["@place"] == "database 400, key presence:u6"


async def test_an_index_that_may_not_be_entered_is_hidden(redis_world: RedisWorld) -> None:
    """Presence may be there."""
    index = int(redis_world.grant.verifier.rpartition("/")[2])
    async with redis_world.client() as admin, redis_world.store() as store:
        await _in_index(redis_world, 402, lambda client: client.set("presence:u", 1))
        await admin.execute_command(*acl(redis_world, "-select"))
        _, said = await read(source_of(store, relation=PRESENCE, everywhere=True))
        await admin.execute_command(*acl(redis_world, "+select"))
        await _in_index(redis_world, 402, lambda client: client.flushdb())
    assert index != 402
    assert any("database 402" in text for text in said.hidden)


async def test_keys_in_a_serialisers_wrapping_are_hidden_from_an_ordinary_relation(redis_world: RedisWorld) -> None:
    """Otherwise every user would have no token."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.set(b"\xac\xed\x00\x05t\x00\x0aim:token:u", JWT)
        found, said = await read(source_of(store))
    assert found == []
    assert any("serialiser" in text for text in said.hidden)


@pytest.mark.parametrize(
    "where", [{"status": "online"}, {"status": ["online", "away"]}, "status = 'online'", "status IN ('online')"]
)
async def test_where_limits_the_records(redis_world: RedisWorld, where: Any) -> None:
    """To those whose field has the value, in hashes and in JSON."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.hset("presence:on", "status", "online")
        await admin.hset("presence:off", "status", "offline")
        await admin.set("presence:json", '{"status": "online"}')
        relation = PRESENCE.model_copy(update={"where": where, "codec": "json"})
        found, said = await read(source_of(store, relation=relation))
    assert found == ["json", "on"]
    assert said.hidden == ()


async def test_a_condition_that_redis_cannot_judge_is_an_error(redis_world: RedisWorld) -> None:
    """It is never ignored."""
    async with redis_world.store() as store:
        with pytest.raises(StoreError, match="cannot be used on Redis"):
            source_of(store, relation=PRESENCE.model_copy(update={"where": "a > 1 OR b"}))


async def test_a_broken_json_value_is_hidden_and_a_bare_token_is_read(redis_world: RedisWorld) -> None:
    """Under codec `json`, text that is no JSON says nothing, unless it is a token itself."""
    async with redis_world.client() as admin, redis_world.store() as store:
        await admin.mset({"im:token:bare": JWT, "im:token:broken": "{", "im:token:json": json.dumps({"jwt": JWT})})
        source = source_of(store, "token", relation=tokens(codec="json", jwt_path="jwt"))
        rows = [row async for chunk in source.chunks() for row in chunk]
        said = await source.completeness()
    assert {row["user_id"]: row["token"] for row in rows} == {"bare": JWT, "json": JWT}
    assert len(said.hidden) == 1


async def test_keys_that_expire_while_they_are_read_are_gone(redis_world: RedisWorld) -> None:
    """Nothing fails, and nothing is hidden."""
    async with redis_world.client() as admin, redis_world.store() as store:
        pipeline = admin.pipeline()
        for number in range(400):
            pipeline.set(f"im:token:{number}", JWT, px=1 + number)
        await pipeline.execute()
        for _ in range(5):
            _, said = await read(source_of(store, "token"))
            assert said.hidden == ()
            await asyncio.sleep(0.05)


async def test_without_info_nothing_fails(redis_world: RedisWorld) -> None:
    """A server that hides INFO: what it cannot say is in the coverage."""
    async with redis_world.client() as admin:
        await admin.set("im:token:u", JWT)
        await admin.execute_command(*acl(redis_world, "-info", "-client", "-config", "-hello"))
        async with connected(redis_world.grant.verifier) as store:
            found, said = await read(source_of(store, "token"))
    assert found == ["u"]
    assert said.hidden == ()
    assert any("INFO" in text for text in said.unseen)


async def _in_index(world: RedisWorld, index: int, act: Any) -> None:
    async with world.client(world.grant.admin.rpartition("/")[0] + f"/{index}") as client:
        await act(client)
