"""Keyspace events of a key pattern, from every server that has keys.

They are sent by the server on which a key is written, for all database indexes, and only where the operator enabled them
(https://redis.io/docs/latest/develop/use/keyspace-notifications/).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

from verifier.stores.errors import StoreError
from verifier.stores.protocols import Witness
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.keys import KeyPattern, is_foreign, key_text, place_text
from verifier.stores.redis.node import Node
from verifier.stores.redis.taps import messages

_REMOVALS = frozenset(
    b"del expired evicted hdel hexpired srem spop zrem zremrangebyscore zremrangebyrank zpopmin zpopmax lpop rpop ltrim lrem "
    b"xdel xtrim rename_from move_from keymiss".split()
)
"""Keyspace events that write nothing new. All others count as writes, also those that a later version adds."""
_EVENT_CLASSES = frozenset("g$lshzt")
"""The classes of commands that write, as `notify-keyspace-events` names them; `A` stands for all."""
_PREFIX = b"__keyspace@"


class EventTaps:
    """Subscriptions to the events of a pattern. `complete`: every server says that it sends all classes of events."""

    def __init__(self, client: RedisClient, pattern: KeyPattern) -> None:
        self._client = client
        self._pattern = pattern
        self._subscribers: list[tuple[Node, Any]] = []
        self.complete = False

    @property
    def listening(self) -> bool:
        """Whether any server's events can be received."""
        return bool(self._subscribers)

    async def open(self, stack: AsyncExitStack) -> None:
        """Subscribe on every server that has keys; the subscriptions end with `stack`."""
        complete = True
        for node in (await self._client.layout()).shards:
            sent = ""
            with suppress(StoreError):  # CONFIG GET is often not granted
                settings = await node.run("CONFIG GET", node.driver.config_get("notify-keyspace-events"))
                sent = str(next(iter(settings.values()), ""))
                if "K" not in sent:
                    complete = False
                    continue
            subscriber = await stack.enter_async_context(node.pubsub())
            try:
                await node.run("PSUBSCRIBE", subscriber.psubscribe(f"__keyspace@*__:{self._pattern.widest_glob}"))
            except StoreError:
                complete = False
                continue
            self._subscribers.append((node, subscriber))
            complete = complete and ("A" in sent or set(sent) >= _EVENT_CLASSES)
        self.complete = complete and self.listening

    async def during(self, seconds: float) -> AsyncIterator[Witness]:
        """The writes that events report in some seconds."""
        async for node, message in messages(self._subscribers, seconds):
            found = self._write(message)
            if found is not None:
                index, name = found
                how = f"keyspace event {key_text(message['data'])} in database {index}"
                at = await node.clock()
                yield Witness(operation="write", key=name, row={}, how=how, written_at=at)

    def _write(self, message: Any) -> tuple[int, str] | None:
        """Where something was written; None for other messages."""
        if message["type"] != "pmessage" or message["data"] in _REMOVALS:
            return None
        index, _, key = message["channel"].removeprefix(_PREFIX).partition(b"__:")
        if self._pattern.find(key) is None:
            return None  # the glob matches more keys than the pattern
        number = int(index) if index.isdigit() else self._client.index
        if is_foreign(self._client.foreign_keys, number, key_text(key)):
            return None
        return number, place_text(number, self._client.index, key_text(key))
