"""Worlds of one store each: a database, or a vhost, on the servers that the tests of this process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.stack import Stack
from suites.selftest.stores.broker_world import BrokerWorld, open_broker_world
from suites.selftest.stores.mongo_world import MongoWorld, open_mongo_world


@pytest.fixture
def anyio_backend() -> str:
    """The loop that the verifier runs on."""
    return "asyncio"


@pytest.fixture
def mongo(stack: Stack) -> Iterator[MongoWorld]:
    """An empty database of the shared server."""
    with open_mongo_world(stack.mongo) as world:
        yield world


@pytest.fixture
def broker(stack: Stack) -> Iterator[BrokerWorld]:
    """An empty vhost of the shared broker."""
    with open_broker_world(stack.rabbitmq) as world:
        yield world
