"""A new vhost on the embedded RabbitMQ, with an AMQP channel that writes and a store that reads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aio_pika
import httpx
from pydantic import SecretStr

from fixtures.services.rabbitmq import RabbitGrant, RabbitMQ
from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole
from verifier.stores.protocols import CounterSnapshot
from verifier.stores.rabbitmq.observer import QueueObserver
from verifier.stores.rabbitmq.store import RabbitMQStore

QUEUE = Queue(name="chat.message.notify", exchange="chat")
LAG_S = 12.0

T = TypeVar("T")
_names = count(1)


@dataclass
class BrokerWorld:
    """One vhost."""

    server: RabbitMQ
    grant: RabbitGrant

    @property
    def vhost(self) -> str:
        """Its name."""
        return self.grant.vhost

    def role(self, **changes: Any) -> BrokerRole:
        """A role of the profile; by default the verifier's own credential, in this vhost or in `changes["vhost"]`."""
        vhost = changes.get("vhost", self.vhost)
        amqp_url = urlsplit(self.grant.verifier_amqp)._replace(path="/" + quote(vhost, safe="")).geturl()
        settings: dict[str, Any] = {
            "management_url": SecretStr(self.grant.verifier_management),
            "amqp_url": SecretStr(amqp_url),
            "vhost": vhost,
            "connect_timeout_s": 2.0,
        }
        return BrokerRole(**(settings | changes))

    @contextlib.asynccontextmanager
    async def store(self, **changes: Any) -> AsyncIterator[RabbitMQStore]:
        """A connected store."""
        store = RabbitMQStore("broker", self.role(**changes))
        try:
            await store.connect()
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[Any]:
        """A channel with the platform's rights."""
        connection = await aio_pika.connect(self.grant.platform_amqp)
        async with connection:
            yield await connection.channel(publisher_confirms=True)

    def manage(self, method: str, path: str, body: Any = None) -> None:
        """Call the management API with the administrator's rights; `path` starts after `/api`."""
        url = urlsplit(self.server.management_url)
        login = (url.username or "", url.password or "")
        base = f"{url.scheme}://{url.netloc.rpartition('@')[2]}/api"
        with httpx.Client(auth=login, trust_env=False, timeout=10) as client:
            client.request(method, base + path, json=body).raise_for_status()

    def let_read(self, queue: str) -> None:
        """Let the verifier's user read one queue, as the operator does for a tap."""
        user = urlsplit(self.grant.verifier_amqp).username
        rights = {"configure": "^$", "write": "^$", "read": f"^{queue}$"}
        self.manage("PUT", f"/permissions/{quote(self.vhost, safe='')}/{user}", rights)


def names(found: Any, vhost: str) -> set[str]:
    """The names of the readable objects of a vhost."""
    return {item.name for item in found if item.attributes.get("vhost") == vhost and item.kind != "unreadable"}


async def publish(channel: Any, queue: str, body: bytes = b"{}", **properties: Any) -> None:
    """Publish through the default exchange."""
    await channel.default_exchange.publish(aio_pika.Message(body, **properties), queue)


async def until(read: Callable[[], Awaitable[T]], done: Callable[[T], bool]) -> T:
    """Read until `done` accepts the result: the broker's statistics lag by some seconds."""
    deadline = time.monotonic() + LAG_S
    seen = await read()
    while not done(seen):
        assert time.monotonic() < deadline, f"not seen within {LAG_S:g} s; what was seen last: {seen}"
        await asyncio.sleep(0.3)
        seen = await read()
    return seen


async def read_until(observer: QueueObserver, done: Callable[[CounterSnapshot], bool]) -> CounterSnapshot:
    """The first snapshot that `done` accepts."""
    return await until(observer.read, done)


async def witnessed(observer: QueueObserver, before: CounterSnapshot, now: CounterSnapshot) -> list[tuple[str, str]]:
    """Witnesses as operation and reason."""
    return [(item.operation, item.how) async for item in observer.witnesses(before, now)]


@contextlib.contextmanager
def open_broker_world(server: RabbitMQ) -> Iterator[BrokerWorld]:
    """A new vhost, removed at the end."""
    name = f"stores_{next(_names)}"
    grant = server.open_world(name)
    try:
        yield BrokerWorld(server, grant)
    finally:
        server.close_world(name)
