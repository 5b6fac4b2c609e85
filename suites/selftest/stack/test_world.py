"""A whole world: stores, OpenIM double, schema and platform; and its parts broken one by one."""

from __future__ import annotations

import asyncio

import httpx
import psycopg
import pymongo
import pymongo.errors
import pytest

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.deadline import Deadline
from fixtures.process import ServerFailed
from fixtures.profile import write_world_profile
from fixtures.proxy import Mode
from fixtures.services.platform import PlatformProcess
from fixtures.stack import Stack
from fixtures.world import WorldConfig
from verifier.profile.load import load_profile


def healthy(url: str) -> bool:
    """Whether a service of the platform answers."""
    with httpx.Client(trust_env=False, timeout=2) as client:
        return client.get(f"{url.replace('ws://', 'http://')}/healthz").status_code == 200


def test_world_has_everything_and_notices_a_crash(stores: Stack) -> None:
    """Each address answers; a crashed OpenIM is named, comes back, and everything ends with the world."""
    with stores.new_world() as world:
        config = world.config
        for url in (config.gateway, config.user_service, config.chat_service, config.websocket, config.push_sink):
            assert healthy(url)
        with psycopg.connect(config.verifier.user_db) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        attached = PlatformProcess.attach(WorldConfig.load(world.config_file))
        attached.check_alive()

        openim = world.server("openim")
        openim.kill9()
        with pytest.raises(ServerFailed, match="openim was ended by SIGKILL") as caught:
            world.check_alive()
        assert config.openim_secret not in str(caught.value)
        openim.restart(Deadline(20))
        world.check_alive()

        with world.behind_proxies("openim_api") as (proxied, proxies), httpx.Client(trust_env=False) as client:
            proxies["openim_api"].set_mode(Mode.HANG)
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"{proxied.openim_api}/auth/get_admin_token", json={}, timeout=0.2)
    with pytest.raises(ServerFailed, match="attached platform"):
        attached.check_alive()


def test_platform_in_separate_processes(stores: Stack) -> None:
    """One service can be crashed while the others go on."""
    with stores.new_world(separate_processes=True) as world:
        assert sorted(world.platform) == ["chat-service", "gateway", "push", "user-service", "websocket"]
        world.server("push").kill9()
        assert healthy(world.config.gateway)
        with pytest.raises(ServerFailed, match="push was ended by SIGKILL"):
            world.check_alive()


def test_an_openim_in_mongo_is_found_again_and_ends_with_its_world(stores: Stack) -> None:
    """Its database is named in the profile, readable and not writable there, kept over a crash, and dropped at the end."""
    with stores.new_world(openim_store="mongo", platform=False) as world:
        config = world.config
        role = load_profile(write_world_profile(config)).roles.openim_mongo
        assert role is not None
        with pymongo.MongoClient[dict[str, object]](role.url.get_secret_value()) as verifier:
            users = verifier[role.database]["user"]
            assert users.distinct("user_id") == ["imAdmin", "verifierAdmin"]
            with pytest.raises(pymongo.errors.OperationFailure):
                users.insert_one({"user_id": "x"})

        async def register() -> None:
            async with OpenIMRest(config.openim_api, secret=config.openim_secret, admin_user_id="imAdmin") as im:
                await im.user_register([{"userID": "ann", "nickname": "Ann"}])

        async def registered() -> bool:
            async with OpenIMRest(config.openim_api, secret=config.openim_secret, admin_user_id="imAdmin") as im:
                return (await im.account_check(["ann"]))["ann"]

        asyncio.run(register())
        world.server("openim").kill9()
        world.server("openim").restart(Deadline(20))
        assert asyncio.run(registered())
    with stores.mongo.connect() as client:
        assert role.database not in client.list_database_names()


def test_an_openim_in_memory_has_no_role(stores: Stack) -> None:
    """By default nothing of OpenIM stands in MongoDB, and the profile says nothing of it."""
    with stores.new_world(platform=False) as world:
        assert load_profile(write_world_profile(world.config)).roles.openim_mongo is None
