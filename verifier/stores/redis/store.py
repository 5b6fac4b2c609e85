"""The store behind a Redis role: its sources, observers, privileges and list of subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.model.query import Rows
from verifier.profile.relations import Channel, Relation
from verifier.profile.timing import Timing
from verifier.stores.protocols import Privilege, StoreObject
from verifier.stores.redis.channels import ChannelObserver
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.listing import subscribers
from verifier.stores.redis.observer import KeysObserver
from verifier.stores.redis.privileges import privileges
from verifier.stores.redis.source import RedisSource


class RedisStore(RedisClient):
    """The Redis servers of one role, as the pool uses them."""

    def source(self, relation: Relation, rows: Rows) -> RedisSource:
        """The records of a key pattern."""
        return RedisSource(self, relation, rows)

    def observer(
        self, target: Relation | Channel, columns: tuple[str, ...], timing: Timing
    ) -> ChannelObserver | KeysObserver:
        """The observer of a channel or a key pattern. Neither uses `timing`."""
        return ChannelObserver(self, target) if isinstance(target, Channel) else KeysObserver(self, target)

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """Kind `subscribers:CHANNEL`: the listeners of a channel, exact ones and patterns, without the verifier's own
        taps."""
        prefix, _, channel = kind.partition(":")
        if prefix != "subscribers":
            raise ValueError(f"{self.label} lists subscribers, not {kind}")
        return await subscribers(self, channel)

    async def privileges(self) -> Sequence[Privilege]:
        """What the user can do beyond reading. Each server has users of its own, so every one is asked."""
        return [item for node in (await self.layout()).listening for item in await privileges(node)]
