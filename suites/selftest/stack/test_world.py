"""A whole world: stores, OpenIM double, schema and platform; and its parts broken one by one."""

from __future__ import annotations

import httpx
import psycopg
import pytest

from fixtures.deadline import Deadline
from fixtures.process import ServerFailed
from fixtures.proxy import Mode
from fixtures.services.platform import PlatformProcess
from fixtures.stack import Stack
from fixtures.world import WorldConfig


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
