"""Databases for the double's durable state: each test has one of its own, on a server that they share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pymongo
from pymongo.database import Database

from fixtures.openim.state import State
from fixtures.openim.storage.store import MongoStore
from fixtures.services.mongo import Mongo
from suites.selftest.openim.doubles import ADMIN, SECRET, Clock

_names = count(1)


@dataclass(frozen=True)
class Place:
    """A database, by the rights of an ordinary application."""

    url: str
    name: str
    read: Database[dict[str, Any]]
    """What stands in it, read past the double."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What tells `python -m fixtures.openim` to use it."""
        return ("--mongo", self.url, "--mongo-database", self.name)

    def store(self, **options: Any) -> MongoStore:
        """A store in it."""
        return MongoStore(self.url, self.name, **options)

    def state(self, clock: Clock, **options: Any) -> State:
        """A state in it."""
        store = self.store(clock=clock, **options)
        return State(secret=SECRET, admin_ids=[ADMIN], store=store, clock=clock)


@dataclass(frozen=True)
class Databases:
    """Databases on one server."""

    server: Mongo

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Place]:
        """An empty database, dropped at the end."""
        name = f"openim_{next(_names)}"
        grant = self.server.open_world(name)
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            grant.platform, serverSelectionTimeoutMS=2000, tz_aware=True
        )
        try:
            yield Place(grant.platform, name, client[name])
        finally:
            client.close()
            self.server.close_world(name)
