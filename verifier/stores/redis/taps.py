"""The verifier's own subscriptions, so that who counts the listeners of a channel does not count it.

A count and what is subtracted from it must be of one moment: a tap that opens or closes in between would hide a listener,
or look like one. So both happen under one lock, and a tap counts from the server's confirmation to the next.
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
    """One connection that listens to a channel, plain and sharded."""

    def __init__(self, client: RedisClient, subscriber: Any, channel: str) -> None:
        self._client = client
        self._subscriber = subscriber
        self._channel = channel
        self._ways: list[str] = []
        self.early: list[Any] = []

    async def begin(self) -> None:
        """Subscribe and wait until the server says so; what arrived meanwhile is in `early`."""
        taps = self._client.taps
        async with taps.lock:
            await self._client.run("SUBSCRIBE", self._subscriber.subscribe(self._channel))
            await self._counted("exactly", "subscribe")
            with suppress(StoreError):  # sharded channels exist since Redis 7
                await self._client.run("SSUBSCRIBE", self._subscriber.ssubscribe(self._channel))
                await self._counted("sharded", "ssubscribe")

    async def end(self) -> None:
        """Unsubscribe and wait until the server says so. Never raises."""
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
