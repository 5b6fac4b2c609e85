"""What each store grants a world: the platform may write, the verifier can only read."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psycopg
import pymongo
import pytest
import redis
from pymongo.errors import OperationFailure
from redis.backoff import NoBackoff
from redis.retry import Retry

from fixtures.process import ServerFailed
from fixtures.services.openim import OpenIM
from fixtures.services.rabbitmq import MISSING, RabbitMQ, find_rabbitmq
from fixtures.stack import Stack, World


@pytest.fixture(scope="module")
def world(stores: Stack) -> World:
    """A world of stores, closed with its stack."""
    return stores.new_world(openim=False, platform=False)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO thing VALUES (1)",
        "UPDATE thing SET id = 2",
        "DELETE FROM thing",
        "TRUNCATE thing",
        "CREATE TABLE other (id int)",
        "CREATE TEMP TABLE other (id int)",
        "CREATE SCHEMA other",
        "SELECT nextval('thing_id_seq')",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_postgres_verifier_cannot_change_anything(world: World, statement: str) -> None:
    """The read-only role is refused by the server itself."""
    with psycopg.connect(world.config.platform.user_db) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS thing (id serial)")
    with (
        psycopg.connect(world.config.verifier.user_db) as verifier,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        verifier.execute(statement)


def test_postgres_verifier_reads_what_is_created_later_in_any_schema(world: World) -> None:
    """Default privileges cover tables, sequences and schemas that the platform makes after the grant."""
    with psycopg.connect(world.config.platform.chat_db) as owner:
        owner.execute("CREATE TABLE here (id serial)")
        owner.execute("CREATE SCHEMA later")
        owner.execute("CREATE TABLE later.there (id int)")
    with psycopg.connect(world.config.verifier.chat_db) as verifier:
        for relation in ("here", "here_id_seq", "later.there"):
            verifier.execute(f"SELECT * FROM {relation}".encode())  # noqa: S608 - names from above
        monitor = verifier.execute(
            "SELECT pg_has_role(current_user, 'pg_monitor', 'member'), rolsuper, rolcreatedb "
            "FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert monitor == (False, False, False)


@pytest.fixture
def redis_verifier(world: World) -> Iterator[redis.Redis]:
    """A connection of the read-only user."""
    with redis.Redis.from_url(world.config.verifier.redis, decode_responses=True) as client:
        yield client


@pytest.mark.parametrize(
    "command",
    [
        "SET a b",
        "DEL a",
        "EXPIRE a 1",
        "GETEX a EX 1",
        "PUBLISH c m",
        "SPUBLISH c m",
        "KEYS *",
        "MONITOR",
        "CONFIG SET timeout 0",
        "FLUSHDB",
        "EVAL return 0",
        "CLIENT KILL ID 1",
        "ACL GETUSER default",
        "SHUTDOWN NOSAVE",
    ],
)
def test_redis_verifier_cannot_change_or_stop_anything(redis_verifier: redis.Redis, command: str) -> None:
    """Refused by the server's access list."""
    with pytest.raises(redis.exceptions.NoPermissionError):
        redis_verifier.execute_command(*command.split())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "command",
    [
        "GET a",
        "SCAN 0 COUNT 10",
        "TTL a",
        "HGETALL h",
        "OBJECT IDLETIME a",
        "INFO commandstats",
        "PUBSUB NUMSUB c",
        "PUBSUB NUMPAT",
        "PUBSUB SHARDCHANNELS",
        "DBSIZE",
        "TIME",
        "CLIENT LIST",
        "CLIENT NO-TOUCH ON",
        "ACL WHOAMI",
    ],
)
def test_redis_verifier_can_do_what_it_needs(redis_verifier: redis.Redis, command: str) -> None:
    """Reading, counters and its own rights."""
    redis_verifier.execute_command(*command.split())  # type: ignore[no-untyped-call]


def test_redis_verifier_learns_its_rights_without_trying_a_write(world: World, redis_verifier: redis.Redis) -> None:
    """The server answers what a write would be told."""
    user = f"{world.config.name}-verifier"
    answer = redis_verifier.execute_command("ACL", "DRYRUN", user, "SET", "a", "b")  # type: ignore[no-untyped-call]
    assert "no permissions" in str(answer)


def test_mongo_verifier_reads_its_database_and_nothing_else(world: World) -> None:
    """Role `read` on the world's database: enforced by the server."""
    database = world.config.mongo_database
    with pymongo.MongoClient[dict[str, object]](world.config.platform.mongo) as app:
        app[database].messages.create_index("conversation_id")
        app[database].messages.insert_one({"n": 1})
    with pymongo.MongoClient[dict[str, object]](world.config.verifier.mongo) as verifier:
        assert verifier[database].messages.count_documents({}) == 1
        for refused in (
            lambda: verifier[database].messages.insert_one({"n": 2}),
            lambda: verifier[database].messages.delete_many({}),
            lambda: verifier[database].messages.drop(),
            lambda: list(verifier[database].messages.aggregate([{"$out": "copy"}])),
            lambda: verifier["other"].messages.find_one(),
            lambda: verifier.admin.command("serverStatus"),
        ):
            with pytest.raises(OperationFailure, match="not authorized"):
                refused()


def test_unauthenticated_client_gets_nothing(stores: Stack) -> None:
    """Each store asks who is there."""
    mongo_url = f"mongodb://{stores.mongo.endpoint}/?directConnection=true"
    with (
        pymongo.MongoClient[dict[str, object]](mongo_url) as mongo_client,
        pytest.raises(OperationFailure, match="requires authentication"),
    ):
        mongo_client.x.y.find_one()
    with (
        redis.Redis(host=stores.redis.host, port=stores.redis.port, retry=Retry(NoBackoff(), 0)) as redis_client,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        redis_client.ping()
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://postgres@{stores.postgres.endpoint}/postgres")


def test_something_else_is_not_mistaken_for_an_openim(stores: Stack) -> None:
    """The probe wants OpenIM's envelope, not just an open port."""
    with pytest.raises(ServerFailed, match="attached openim"):
        OpenIM.attach(f"http://{stores.redis.endpoint}", "ws://127.0.0.1:1", "secret").check_alive()


@pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)
def test_rabbitmq_gives_each_world_a_vhost_and_the_verifier_a_view_of_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The monitoring user sees its own vhost, not a neighbour's, and can neither declare, publish nor read."""
    with Stack.start(tmp_path_factory.mktemp("broker"), only={"rabbitmq"}, broker="required") as stack:
        broker = stack.rabbitmq
        assert isinstance(broker, RabbitMQ)
        one, two = broker.open_world("one"), broker.open_world("two")
        with httpx.Client(trust_env=False) as http:
            app, verifier = one.admin_management, one.verifier_management
            queue = "/api/queues/one/work"
            assert http.put(app + queue, json={}).status_code == 201
            assert [each["name"] for each in http.get(f"{verifier}/api/queues/one").json()] == ["work"]
            assert http.get(f"{verifier}/api/overview").status_code == 200
            assert http.get(f"{verifier}/api/queues/two").status_code == 401
            assert http.put(f"{verifier}/api/queues/one/more", json={}).status_code == 401
            body = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
            assert http.post(f"{verifier}{queue}/get", json=body).status_code == 401
            broker.close_world("one")
            assert http.get(f"{verifier}/api/overview").status_code == 401
            assert http.get(f"{two.admin_management}/api/queues/two").status_code == 200
        attached = RabbitMQ.attach(broker.amqp_url, broker.management_url)
        attached.check_alive()
        broker.kill9()
        with pytest.raises(ServerFailed, match="attached rabbitmq"):
            attached.check_alive()
