"""Fixtures with an empty database, database index or vhost on the servers that the tests of this process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.services.redis import Redis
from fixtures.stack.stack import Stack
from tests.verifier.stores.mongo.world import MongoWorld, open_mongo_world
from tests.verifier.stores.postgres.world import PostgresWorld, open_postgres_world
from tests.verifier.stores.rabbitmq.world import BrokerWorld, open_broker_world
from tests.verifier.stores.redis.world import RedisWorld


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


@pytest.fixture
def mongo(stack: Stack) -> Iterator[MongoWorld]:
    """An empty database of the shared server."""
    with open_mongo_world(stack.mongo) as world:
        yield world


@pytest.fixture
def postgres(stack: Stack) -> Iterator[PostgresWorld]:
    """A new database of the shared server."""
    with open_postgres_world(stack.postgres) as world:
        yield world


@pytest.fixture
def broker(stack: Stack) -> Iterator[BrokerWorld]:
    """An empty vhost of the shared broker."""
    with open_broker_world(stack.rabbitmq) as world:
        yield world


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server for one test module, whose settings are changed and whose process is killed."""
    with Stack.start(tmp_path_factory.mktemp("redis"), only={"redis"}) as stack:
        yield stack.redis


@pytest.fixture
def redis_world(redis_server: Redis) -> Iterator[RedisWorld]:
    """An empty database index."""
    grant = redis_server.open_world("absence")
    try:
        yield RedisWorld(redis_server, grant)
    finally:
        redis_server.close_world("absence")
