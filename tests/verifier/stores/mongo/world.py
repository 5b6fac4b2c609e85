"""A new database on the embedded MongoDB-wire server, with a client that writes and a store that reads."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pymongo
from pydantic import SecretStr

from fixtures.services.mongo import Mongo, MongoClient, MongoGrant
from verifier.profile.relations import Relation
from verifier.profile.roles import MongoRole
from verifier.profile.timing import Timing
from verifier.stores.mongo.observer import MongoObserver
from verifier.stores.mongo.store import MongoStore
from verifier.stores.protocols import CounterSnapshot, Witness

MESSAGES = Relation.model_validate(
    {
        "role": "chat_mongo",
        "collection": "messages",
        "key": "message_id",
        "columns": {
            "message_id": "_id",
            "conversation_id": "conv",
            "created_at": {"column": "at", "type": "timestamp"},
            "sequence": {"column": "meta.seq", "type": "integer"},
            "deleted": {"column": "deleted", "type": "boolean"},
        },
    }
)

_names = count(1)


@dataclass
class MongoWorld:
    """One database."""

    grant: MongoGrant
    writer: MongoClient
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> Any:
        """The database, with the platform's rights."""
        return self.writer[self.grant.database]

    @property
    def messages(self) -> Any:
        """The collection that `MESSAGES` describes."""
        return self.database["messages"]

    def role(self, url: str | None = None, **options: Any) -> MongoRole:
        """A role of the profile; by default the verifier's own credential."""
        settings = {"connect_timeout_s": 2.0, "operation_timeout_s": 10.0, **self.options, **options}
        return MongoRole(url=SecretStr(url or self.grant.verifier), database=self.grant.database, **settings)

    @contextlib.asynccontextmanager
    async def store(self, url: str | None = None, **options: Any) -> AsyncIterator[MongoStore]:
        """A connected store."""
        store = MongoStore("chat_mongo", self.role(url, **options))
        await store.connect()
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def observer(
        self, columns: tuple[str, ...] = ("conversation_id",), relation: Relation = MESSAGES
    ) -> AsyncIterator[MongoObserver]:
        """The observer of the messages."""
        async with self.store() as store:
            yield store.observer(relation, columns, Timing())

    async def witnesses_of(self, write: Callable[[], Any], **options: Any) -> list[Witness]:
        """The witnesses of a write."""
        async with self.observer(**options) as observer:
            before = await observer.read()
            write()
            return await witnesses(observer, before)


async def witnesses(observer: MongoObserver, before: CounterSnapshot) -> list[Witness]:
    """All witnesses between a snapshot and now."""
    return [item async for item in observer.witnesses(before, await observer.read())]


def at(second: int) -> datetime:
    """A time, given by its second."""
    return datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC)


@contextlib.contextmanager
def open_mongo_world(server: Mongo) -> Iterator[MongoWorld]:
    """A new database, dropped at the end."""
    name = f"stores_{next(_names)}"
    grant = server.open_world(name)
    writer: MongoClient = pymongo.MongoClient(
        grant.platform, serverSelectionTimeoutMS=2000, uuidRepresentation="standard"
    )
    try:
        yield MongoWorld(grant, writer)
    finally:
        writer.close()
        server.close_world(name)
