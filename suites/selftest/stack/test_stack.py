"""A stack: it starts again and again, explains what fails, notices what dies, and keeps worlds apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from fixtures import stack as stack_module
from fixtures.deadline import Deadline
from fixtures.process import Command, OwnedProcess, ServerFailed
from fixtures.rundir import RunDir, read_processes
from fixtures.services import postgres as postgres_module
from fixtures.services import redis as redis_module
from fixtures.services.base import REPO_ROOT, NotOwnedError
from fixtures.services.mongo import Mongo
from fixtures.services.rabbitmq import MISSING
from fixtures.stack import NotInStackError, Stack
from fixtures.world import WorldConfig


def test_starts_twice_in_a_row_in_the_same_directory(tmp_path: Path) -> None:
    """A run that ended leaves nothing in the way of the next one."""
    for _ in range(2):
        with Stack.start(tmp_path / "run", only={"redis"}) as stack:
            stack.redis.probe()
        assert not any(record.is_alive() for record in read_processes(tmp_path / "run"))
        assert not (tmp_path / "run" / "data").exists()
        assert (tmp_path / "run" / "logs" / "redis.log").exists()


def test_leftovers_of_a_killed_run_are_reaped(tmp_path: Path) -> None:
    """After `kill -9` of its owner a stack starts in the same directory, on fresh data."""
    code = f"""
from pathlib import Path
from fixtures.stack import Stack
stack = Stack.start(Path({str(tmp_path / "run")!r}), only={{"redis", "postgres"}})
print("up", flush=True)
input()
"""
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        leftovers = read_processes(tmp_path / "run")
        assert any(record.is_alive() for record in leftovers)
        owner.kill()
    with Stack.start(tmp_path / "run", only={"redis"}) as stack:
        assert not any(record.is_alive() for record in leftovers)
        stack.redis.probe()


def test_server_that_cannot_start_is_explained_and_the_others_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error holds the command and the end of the log; nothing goes on running."""
    monkeypatch.setattr(redis_module, "DATABASES", "many")
    with pytest.raises(ServerFailed) as caught:
        Stack.start(tmp_path / "run", only={"redis", "postgres"})
    message = str(caught.value)
    assert "redis ended with exit code 1" in message
    assert "databases many" in message  # valkey-server quotes the line it stumbled over
    assert "valkey.conf" in message
    assert not any(record.is_alive() for record in read_processes(tmp_path / "run"))


def test_deadline_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little time ends in an error that says what was awaited, not in a hang."""

    def silent(_: Mongo) -> None:
        raise ConnectionRefusedError("not yet")

    monkeypatch.setattr(Mongo, "probe", silent)
    with pytest.raises(ServerFailed, match=r"(?s)0\.05 s.*Last lines of"):
        Stack.start(tmp_path / "run", only={"mongo"}, deadline_s=0.05)


def test_kill_is_noticed_and_a_restart_keeps_what_was_written(tmp_path: Path) -> None:
    """A crashed server is named with the signal that ended it; PostgreSQL and Redis come back with their data."""
    with Stack.start(tmp_path / "run", only={"redis", "postgres"}) as stack:
        with psycopg.connect(stack.postgres.admin_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        with redis.Redis.from_url(stack.redis.admin_url) as client:
            client.set("kept", "1")
        stack.check_alive()
        for server in (stack.redis, stack.postgres):
            server.kill9()
            with pytest.raises(ServerFailed, match=f"{server.name} was ended by SIGKILL"):
                stack.check_alive()
            assert not server.alive
            server.restart(Deadline(20))
        stack.check_alive()
        with psycopg.connect(stack.postgres.admin_url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
        with redis.Redis.from_url(stack.redis.admin_url) as client:
            assert client.get("kept") == b"1"


def test_worlds_do_not_see_one_another(stores: Stack) -> None:
    """A world's users reach their own databases, and nothing of a neighbour's."""
    with (
        stores.new_world(openim=False, platform=False) as one,
        stores.new_world(openim=False, platform=False) as two,
    ):
        stolen = one.config.platform.user_db.replace(f"{one.config.name}_user", f"{two.config.name}_user")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(stolen)
        with redis.Redis.from_url(one.config.platform.redis) as client:
            client.set("key", "of one")
            listener = redis.Redis.from_url(two.config.platform.redis)
            with listener, listener.pubsub() as channel:  # type: ignore[no-untyped-call]
                channel.subscribe("CHAT_NOTIFICATION")
                assert channel.get_message(timeout=1)  # the confirmation
                assert client.publish("CHAT_NOTIFICATION", "x") == 0
                assert listener.get("key") is None
        assert one.config.mongo_database != two.config.mongo_database


def test_worlds_on_a_shared_redis_get_an_index_each_and_give_it_back(stores: Stack) -> None:
    """Without a server of its own a world leases an empty index; a closed world's index is empty and free again."""
    first = stores.new_world(openim=False, platform=False, dedicated=())
    second = stores.new_world(openim=False, platform=False, dedicated=())
    indexes = {world.config.platform.redis.rpartition("/")[2] for world in (first, second)}
    assert len(indexes) == 2
    with redis.Redis.from_url(first.config.platform.redis) as client:
        client.set("key", "left behind")
    first.close()
    with stores.new_world(openim=False, platform=False, dedicated=()) as third:
        assert third.config.platform.redis.rpartition("/")[2] in indexes
        with redis.Redis.from_url(third.config.platform.redis) as client:
            assert client.dbsize() == 0
    second.close()


def test_closed_world_leaves_no_database_and_no_role(stores: Stack) -> None:
    """Closing drops everything, with clients still connected; closing twice is fine."""
    world = stores.new_world(openim=False, platform=False)
    name = world.config.name
    with psycopg.connect(world.config.platform.user_db):
        world.close()
        world.close()
    with psycopg.connect(stores.postgres.admin_url) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %(like)s "
            "UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE %(like)s",
            {"like": f"{name}%"},
        ).fetchall()
    assert rows == []
    with stores.mongo.connect() as client:
        assert name not in client.list_database_names()
        assert client[name].command("usersInfo", 1)["users"] == []
    assert world not in stores.worlds


def test_crash_of_a_store_of_its_own_leaves_other_worlds_alone(stores: Stack) -> None:
    """A world with a PostgreSQL to itself can lose it, and can still be closed."""
    with (
        stores.new_world(openim=False, platform=False, dedicated={"postgres", "redis"}) as victim,
        stores.new_world(openim=False, platform=False) as neighbour,
    ):
        victim.server("postgres").kill9()
        with pytest.raises(ServerFailed, match="postgres was ended by SIGKILL"):
            victim.check_alive()
        neighbour.check_alive()
        stores.check_alive()
        with psycopg.connect(neighbour.config.platform.user_db) as connection:
            connection.execute("SELECT 1")


def test_configuration_is_private_and_read_back_whole(stores: Stack) -> None:
    """world.json holds passwords: mode 600, and it is the world's configuration."""
    with stores.new_world("written", openim=False, platform=False) as world:
        assert world.config_file.stat().st_mode & 0o777 == 0o600
        assert WorldConfig.load(world.config_file) == world.config
        assert not world.config.platform.amqp
        assert not world.config.vhost
        with pytest.raises(LookupError, match="no 'kafka'; it has mongo, postgres, redis"):
            world.server("kafka")
        with pytest.raises(ValueError, match="named written already"):
            stores.new_world("written")


def test_attached_servers_serve_worlds_and_are_never_stopped(stores: Stack, tmp_path: Path) -> None:
    """The attach twin offers the same, refuses to break what is not ours, and drops its worlds at the end."""
    attached = Stack.attach(
        tmp_path / "attached",
        postgres=stores.postgres.admin_url,
        redis=stores.redis.admin_url,
        mongo=stores.mongo.admin_url,
    )
    world = attached.new_world(openim=False, platform=False)
    with psycopg.connect(world.config.platform.chat_db) as connection:
        connection.execute("SELECT 1")
    with pytest.raises(NotOwnedError, match="attached"):
        world.server("postgres").kill9()
    attached.stop()
    stores.check_alive()
    with psycopg.connect(stores.postgres.admin_url) as connection:
        database = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (f"{world.config.name}_user",)
        ).fetchone()
    assert database is None


def test_attaching_to_nothing_is_explained(tmp_path: Path) -> None:
    """A wrong URL is an error that names the server and the address."""
    with pytest.raises(ServerFailed, match=r"attached redis at 127\.0\.0\.1:1 does not answer.*Check its URL"):
        Stack.attach(tmp_path / "attached", redis="redis://127.0.0.1:1/0")


def test_missing_rabbitmq_is_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without RabbitMQ a stack has no broker and says how to get one; where it is required that is an error."""
    monkeypatch.setattr(stack_module, "find_rabbitmq", lambda: None)
    assert "make deps" in MISSING
    with Stack.start(tmp_path / "run", only={"redis", "rabbitmq"}) as stack:
        assert stack.broker_missing == MISSING
        assert not stack.has_broker
        with pytest.raises(NotInStackError, match="make deps"):
            _ = stack.rabbitmq
    with pytest.raises(ServerFailed, match="make deps"):
        Stack.start(tmp_path / "run", only={"rabbitmq"}, broker="required")


def test_stack_of_one_server_says_what_it_lacks(tmp_path: Path) -> None:
    """Asking for a server that was not started names those that were."""
    with Stack.start(tmp_path / "run", only={"redis"}) as stack:
        with pytest.raises(NotInStackError, match="started without mongo; it has redis"):
            _ = stack.mongo
        with pytest.raises(NotInStackError, match="needs postgres"):
            stack.new_world()
    with pytest.raises(ValueError, match="Unknown servers \\['kafka'\\]"):
        Stack.start(tmp_path / "run", only={"kafka"})


def test_store_behind_a_proxy_is_seen_by_the_verifier_alone(stores: Stack) -> None:
    """The proxied configuration leads the verifier through the proxy; the platform's URLs stay direct."""
    with (
        stores.new_world(openim=False, platform=False) as world,
        world.behind_proxies("user_db", "redis", "mongo") as (config, proxies),
    ):
        assert config.platform == world.config.platform
        with psycopg.connect(config.verifier.user_db) as connection:
            connection.execute("SELECT 1")
        assert proxies["user_db"].connections == 1
        assert proxies["redis"].connections == 0
        with redis.Redis.from_url(config.verifier.redis) as client:
            assert client.ping()
        assert proxies["redis"].connections == 1


def test_programs_are_copied_where_an_unprivileged_user_cannot_reach_them(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone below a private home directory still gets its PostgreSQL when root starts it."""
    monkeypatch.setattr(postgres_module, "is_reachable_by_anyone", lambda _path: False)
    user = "nobody" if os.geteuid() == 0 else None
    home = run.data("postgres", reachable=True)
    home.chmod(0o755)
    binaries = postgres_module._binaries(home, "nobody")
    assert binaries.is_relative_to(home)
    argv = [str(binaries / "initdb"), "--version"]  # it is linked to a library that had to be copied along
    process = OwnedProcess(Command(name="initdb", argv=argv, cwd=home, user=user), run)
    process.run_to_end(Deadline(10))
    assert "initdb (PostgreSQL)" in process.log_tail()
