"""The store behind a Redis role: its sources, observers, privileges and list of subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.model.query import Rows
from verifier.profile.relations import Channel, Relation
from verifier.profile.timing import Timing
from verifier.stores.errors import StoreError
from verifier.stores.protocols import Privilege, StoreObject
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.listing import subscribers
from verifier.stores.redis.observer import ChannelObserver, KeysObserver
from verifier.stores.redis.source import RedisSource


class RedisStore(RedisClient):
    """One Redis server, as the pool uses it."""

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
        """What the user can do beyond reading, by ACL DRYRUN, which executes nothing."""
        try:
            user = await self.run("ACL WHOAMI", self.driver.acl_whoami())
            name = user.decode() if isinstance(user, bytes) else str(user)
            allowed = []
            for command in (
                ("SET", "verifier:probe", "1"),
                ("DEL", "verifier:probe"),
                ("PUBLISH", "verifier:probe", "1"),
                ("CONFIG", "SET", "maxmemory", "0"),
            ):
                answer = await self.run("ACL DRYRUN", self.send("ACL", "DRYRUN", name, *command))
                if answer in (b"OK", "OK", True):
                    allowed.append(" ".join(command[:2]) if command[0] == "CONFIG" else command[0])
        except StoreError as error:
            return [Privilege(self.label, "can it write?", "unknown", f"the server does not say ({error})")]
        if allowed:
            return [Privilege(self.label, "writing commands", "too_many", f"user {name} may {', '.join(allowed)}")]
        return [Privilege(self.label, "read only", "ok", f"user {name} may not SET, DEL, PUBLISH or CONFIG SET")]
