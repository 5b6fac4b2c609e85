"""A tap: the verifier's own subscription to a channel, registered so that it is not counted as a listener.

It is registered from the server's confirmation of the subscription until that of its end; see `Taps`.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from verifier.stores.errors import StoreError
from verifier.stores.redis.client import RedisClient

CONFIRMED_WITHIN_S = 2.0
_POLL_S = 0.2


class Tap:
    """One connection that is subscribed to a channel, plain and sharded. `early`: messages that came before `begin`
    returned."""

    def __init__(self, client: RedisClient, subscriber: Any, channel: str) -> None:
        self._client = client
        self._subscriber = subscriber
        self._channel = channel
        self._ways: list[str] = []
        self.early: list[Any] = []

    async def begin(self) -> None:
        """Subscribe, and wait for the server's confirmation. Raises StoreError where none comes in time."""
        taps = self._client.taps
        async with taps.lock:
            await self._client.run("SUBSCRIBE", self._subscriber.subscribe(self._channel))
            await self._counted("exactly", "subscribe")
            with suppress(StoreError):  # Redis before 7 has no sharded channels
                await self._client.run("SSUBSCRIBE", self._subscriber.ssubscribe(self._channel))
                await self._counted("sharded", "ssubscribe")

    async def end(self) -> None:
        """Unsubscribe, and wait for the server's confirmation. Never raises."""
        taps = self._client.taps
        async with taps.lock:
            with suppress(Exception):
                for way in self._ways:
                    sharded = way == "sharded"
                    leave = self._subscriber.sunsubscribe if sharded else self._subscriber.unsubscribe
                    await self._client.run("UNSUBSCRIBE", leave(self._channel))
                    await self._confirmed("sunsubscribe" if sharded else "unsubscribe")
            for way in self._ways:
                taps.open[way, self._channel] -= 1
            self._ways = []

    async def _counted(self, way: str, confirmation: str) -> None:
        await self._confirmed(confirmation)
        self._ways.append(way)
        self._client.taps.open[way, self._channel] += 1

    async def _confirmed(self, kind: str) -> None:
        deadline = time.monotonic() + CONFIRMED_WITHIN_S
        while time.monotonic() < deadline:
            message = await self._client.run("tap", self._subscriber.get_message(timeout=_POLL_S), count=0)
            if message is None:
                continue
            if message["type"] == kind:
                return
            self.early.append(message)
        raise StoreError(f"{self._client.label} did not confirm {kind} to {self._channel} in time.")
