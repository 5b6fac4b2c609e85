"""Taps: the verifier's own subscriptions, registered so that they are not counted as listeners.

A tap is registered from the server's confirmation of the subscription until that of its end; see `node.Taps`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from verifier.stores.errors import Denied, StoreError, Unreachable
from verifier.stores.redis.node import Node

CONFIRMED_WITHIN_S = 2.0
POLL_S = 0.2


class Tap:
    """One connection that is subscribed to a channel, plain and sharded. `early`: messages that came before `begin`
    returned. `sharded`: whether this server delivers the sharded channel of that name. `deaf`: what the tap does not hear, in
    words; "" if it hears everything."""

    def __init__(self, node: Node, subscriber: Any, channel: str, *, sharded: bool = True) -> None:
        self._node = node
        self._subscriber = subscriber
        self._channel = channel
        self._sharded = sharded
        self._ways: list[str] = []
        self.early: list[Any] = []
        self.deaf = ""

    async def begin(self) -> None:
        """Subscribe, and wait for the server's confirmation. Raises StoreError where none comes in time."""
        taps = self._node.taps
        async with taps.lock:
            await self._node.run("SUBSCRIBE", self._subscriber.subscribe(self._channel))
            await self._counted("exactly", "subscribe")
            if not self._sharded:
                return
            try:
                await self._node.run("SSUBSCRIBE", self._subscriber.ssubscribe(self._channel))
                await self._counted("sharded", "ssubscribe")
            except Denied:
                self.deaf = "a sharded publish (SSUBSCRIBE is not granted)"
            except Unreachable:
                raise
            except StoreError:
                pass  # Redis before 7 has no sharded channels

    async def end(self) -> None:
        """Unsubscribe, and wait for the server's confirmation. Never raises."""
        taps = self._node.taps
        async with taps.lock:
            with suppress(Exception):
                for way in self._ways:
                    sharded = way == "sharded"
                    leave = self._subscriber.sunsubscribe if sharded else self._subscriber.unsubscribe
                    await self._node.run("UNSUBSCRIBE", leave(self._channel))
                    await self._confirmed("sunsubscribe" if sharded else "unsubscribe")
            for way in self._ways:
                taps.open[way, self._channel] -= 1
            self._ways = []

    async def _counted(self, way: str, confirmation: str) -> None:
        await self._confirmed(confirmation)
        self._ways.append(way)
        self._node.taps.open[way, self._channel] += 1

    async def _confirmed(self, kind: str) -> None:
        deadline = time.monotonic() + CONFIRMED_WITHIN_S
        while time.monotonic() < deadline:
            message = await self._node.run("tap", self._subscriber.get_message(timeout=POLL_S), count=0)
            if message is None:
                continue
            if message["type"] == kind:
                return
            self.early.append(message)
        raise Unreachable(f"{self._node.label} did not confirm {kind} to {self._channel} in time.")


Subscribers = Sequence[tuple[Node, Any]]
"""Subscribers with the servers that they are connected to."""


async def messages(subscribers: Subscribers, seconds: float) -> AsyncIterator[tuple[Node, Any]]:
    """What arrives at any of these subscribers for some seconds, with the server that sent it."""
    arrived: asyncio.Queue[tuple[Node, Any] | StoreError] = asyncio.Queue()
    deadline = time.monotonic() + seconds

    async def listen(node: Node, subscriber: Any) -> None:
        # Each call ends by its own time limit: a cancelled one could lose a message that is half read.
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = await node.run("tap", subscriber.get_message(timeout=min(POLL_S, left)), count=0)
            except StoreError as error:
                arrived.put_nowait(error)
                return
            if message is not None:
                arrived.put_nowait((node, message))

    listening = [asyncio.ensure_future(listen(node, subscriber)) for node, subscriber in subscribers]
    try:
        while True:
            while not arrived.empty():
                item = arrived.get_nowait()
                if isinstance(item, StoreError):
                    raise item
                yield item
            if all(task.done() for task in listening):
                break
            waiting = asyncio.ensure_future(arrived.get())
            done, _ = await asyncio.wait({waiting, *listening}, return_when=asyncio.FIRST_COMPLETED)
            if waiting in done:
                item = waiting.result()
                if isinstance(item, StoreError):
                    raise item
                yield item
            else:
                waiting.cancel()
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
