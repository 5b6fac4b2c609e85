"""The worlds that blueprints make: healthy in every respect that the checks look at."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import anyio
import jwt
import pytest

from fixtures.blueprints import traffic, worlds
from fixtures.blueprints.population import Population
from fixtures.clients.gateway import Gateway
from fixtures.platform.__main__ import SERVICES
from fixtures.platform.mode import Mode, read_mode
from fixtures.stack import Stack
from fixtures.world import WorldConfig
from suites.selftest.platform.looking import looking_at

pytestmark = pytest.mark.anyio

USERS = 30
JWT = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+")


@pytest.fixture(scope="module")
def driven(stack: Stack) -> Iterator[tuple[WorldConfig, Population]]:
    """A world in the middle of its move."""
    with stack.new_world() as world:
        yield world.config, anyio.run(_mid_migration, world.config)


async def _mid_migration(config: WorldConfig) -> Population:
    return await worlds.mid_migration(config, users=USERS)


async def test_every_live_session_has_its_token(driven: tuple[WorldConfig, Population]) -> None:
    """Who has a live session, and nobody else, holds an imToken that is theirs and accepted."""
    config, population = driven
    async with looking_at(config) as stores:
        rows = await stores.user_rows(
            "SELECT user_id, array_agg(platform) AS platforms FROM sessions"
            " WHERE revoked_at IS NULL AND expires_at > now() GROUP BY user_id"
        )
        live = {row["user_id"]: row["platforms"] for row in rows}
        keys = [key async for key in stores.redis.scan_iter("im:token:*")]
        assert sorted(keys) == sorted(f"im:token:{user_id}" for user_id in live)
        assert set(live) == {person.user_id for person in population.active()}
        for user_id, platforms in live.items():
            token = await stores.im_token(user_id) or ""
            claims = jwt.decode(token, options={"verify_signature": False})
            assert claims["UserID"] == user_id.hex
            assert claims["PlatformID"] in platforms
            assert 0 < await stores.redis.ttl(f"im:token:{user_id}") < claims["exp"] - time.time()
            assert (await stores.im.parse_token(token))["userID"] == user_id.hex
        cached = [key async for key in stores.redis.scan_iter("session:*")]
        (sessions,) = await stores.user_rows(
            "SELECT count(*) AS n FROM sessions WHERE revoked_at IS NULL AND expires_at > now()"
        )
        assert len(cached) == sessions["n"]


async def test_who_signed_in_is_registered_under_the_same_name(
    driven: tuple[WorldConfig, Population],
) -> None:
    """Users that signed in stand in OpenIM with their present name; imported ones do not stand there."""
    config, population = driven
    async with looking_at(config) as stores:
        rows = await stores.user_rows("SELECT id, nickname FROM users WHERE last_login_at IS NOT NULL")
        infos = await stores.im.get_users_info([row["id"].hex for row in rows])
        assert {row["id"].hex: row["nickname"] for row in rows} == {
            openim_id: info["nickname"] for openim_id, info in infos.items()
        }
        absent = [person.user_id.hex for person in population.never_signed_in]
        assert not any((await stores.im.account_check(absent)).values())


async def test_moved_chats_have_no_later_legacy_rows(driven: tuple[WorldConfig, Population]) -> None:
    """What our stores hold of a moved conversation is older than its move; the unmoved go on."""
    config, population = driven
    assert population.moved("single")
    assert population.moved("group")
    assert population.legacy("single")
    assert population.legacy("support")
    async with looking_at(config) as stores:
        for statement in (
            "SELECT FROM openim_scope o JOIN conversations c ON c.id = o.conversation_id"
            " WHERE greatest(c.created_at, c.updated_at, c.last_message_at) > o.since",
            "SELECT FROM openim_scope o JOIN conversation_sequences s USING (conversation_id)"
            " WHERE s.updated_at > o.since",
            "SELECT FROM openim_scope o JOIN message_reads r USING (conversation_id) WHERE r.read_at > o.since",
            "SELECT FROM openim_scope o JOIN mentions m USING (conversation_id) WHERE m.created_at > o.since",
        ):
            assert await stores.chat_rows(statement) == []
        scopes = await stores.chat_rows("SELECT * FROM openim_scope")
        assert {row["conversation_id"] for row in scopes} == {chat.legacy_id for chat in population.moved()}
        for scope in scopes:
            late = {"conversation_id": str(scope["conversation_id"]), "created_at": {"$gt": scope["since"]}}
            assert await stores.messages.count_documents(late) == 0
        legacy = [str(chat.legacy_id) for chat in population.legacy()]
        since = max(scope["since"] for scope in scopes)
        assert await stores.messages.count_documents({"conversation_id": {"$in": legacy}, "created_at": {"$gt": since}})


async def test_things_kept_point_at_what_exists(driven: tuple[WorldConfig, Population]) -> None:
    """Flags, extensions, invites and reports refer to conversations, groups and users that exist."""
    config, population = driven
    assert population.invite_codes
    assert population.media_ids
    async with looking_at(config) as stores:
        flags = await stores.chat_rows("SELECT * FROM conversation_flags")
        assert flags
        for flag in flags:
            known = await stores.im.get_full_conversation_ids(flag["user_id"].hex)
            assert flag["openim_conversation_id"] in known
        groups = await stores.chat_rows(
            "SELECT openim_group_id FROM group_extensions UNION"
            " SELECT openim_group_id FROM group_invites WHERE openim_group_id IS NOT NULL"
        )
        wanted = [row["openim_group_id"] for row in groups]
        assert set(await stores.im.get_groups_info(wanted)) == set(wanted)
        kinds = await stores.chat_rows("SELECT DISTINCT kind FROM reports")
        assert {row["kind"] for row in kinds} == {"user", "group", "message"}


async def test_no_token_leaves_redis(stack: Stack, driven: tuple[WorldConfig, Population]) -> None:
    """Neither the logs of the platform nor its messages hold anything that looks like an imToken."""
    config, _ = driven
    (world,) = [world for world in stack.worlds if world.config is config]
    processes = [server.process for server in world.platform.values()]
    log = b"".join(process.log.read_bytes() for process in processes if process is not None)
    assert b"POST /auth/login 200" in log
    assert not JWT.search(log)
    assert b"session=" not in log
    async with looking_at(config) as stores:
        assert await stores.messages.count_documents({"content.text": {"$regex": "eyJ"}}) == 0


async def test_freezing_goes_on_from_there(driven: tuple[WorldConfig, Population]) -> None:
    """Freezing moves all but support; afterwards only support is written in our stores."""
    config, population = driven
    async with looking_at(config) as stores:
        await worlds.frozen(config, population)
        assert {chat.kind for chat in population.legacy()} == {"support"}
        assert read_mode(config) is Mode.FROZEN
        late = await stores.chat_rows(
            "SELECT DISTINCT c.type FROM conversations c WHERE c.updated_at > (SELECT max(since) FROM openim_scope)"
        )
        assert [row["type"] for row in late] == ["support"]
        assert [key async for key in stores.redis.scan_iter("presence:*")] == []


async def test_same_seed_makes_the_same_world(stack: Stack) -> None:
    """Two drives with one seed make the same people and the same conversations between them."""
    with stack.new_world(broker=False) as world:
        first = await traffic.drive(world.config, users=8, seed=7, prefix="+4400")
        second = await traffic.drive(world.config, users=8, seed=7, prefix="+4500")
    assert _outline(first) == _outline(second)


def _outline(population: Population) -> list[tuple[str, list[str], bool, int]]:
    return [
        (
            chat.kind,
            [person.nickname for person in chat.people],
            chat.openim_id is not None,
            len(chat.legacy_message_ids),
        )
        for chat in population.chats
    ]


async def test_fresh_world_has_moved_nothing_in_five_processes(stack: Stack) -> None:
    """A fresh world is all legacy; and the services work as five processes too."""
    with stack.new_world(separate_processes=True) as world:
        assert set(world.platform) == set(SERVICES)
        population = await worlds.fresh(world.config, users=6)
        assert population.legacy() == population.chats
        async with looking_at(world.config) as stores:
            assert await stores.chat_rows("SELECT FROM openim_scope") == []


async def test_token_can_be_delivered_by_the_login(stack: Stack) -> None:
    """With delivery by login response the client holds the imToken, the same that is kept."""
    with stack.new_world(broker=False, platform_arguments=["--token-delivery", "login_response"]) as world:
        async with Gateway(world.config.gateway) as gateway, looking_at(world.config) as stores:
            session = await gateway.sign_up("+4930100000", "Direct")
            assert session.im_token
            assert session.im_token == await stores.im_token(session.user_id)
