"""The store behind a MongoDB role: its sources, observers, privileges and list of collections."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.profile.timing import Timing
from verifier.stores.mongo.client import MongoClient
from verifier.stores.mongo.listing import list_collections
from verifier.stores.mongo.observer import MongoObserver
from verifier.stores.mongo.privileges import judge_privileges
from verifier.stores.mongo.source import MongoSource
from verifier.stores.protocols import Privilege, StoreObject


class MongoStore(MongoClient):
    """One MongoDB database, as the pool uses it."""

    def source(self, relation: Relation, rows: Rows) -> MongoSource:
        """The records of a relation in this database."""
        return MongoSource(self, relation, rows)

    def observer(self, relation: Relation, columns: tuple[str, ...], timing: Timing) -> MongoObserver:
        """The observer of a collection. It does not use `timing`, because no counter is delayed."""
        return MongoObserver(self, relation, columns)

    async def privileges(self) -> Sequence[Privilege]:
        """What the user may do beyond reading."""
        return await judge_privileges(self)

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """Kind `collections`: every collection of every database that can be read, and what cannot be read."""
        if kind != "collections":
            raise ValueError(f"{self.label} lists collections, not {kind}")
        return await list_collections(self)
