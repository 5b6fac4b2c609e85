"""Forced disconnects during a run: reconnect storms, users who are away for a while, and slow receivers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Final

from load.engine.readback import read_once
from load.engine.record import RunRecord
from load.engine.rpc import ConnectionLost
from load.engine.user import EngineUser

_POLL_S: Final = 0.02


async def outages(record: RunRecord, users: Mapping[str, EngineUser]) -> None:
    """Until cancelled: every `outage_every_s` the chosen share of the ready users loses its connection for `outage_s`.

    With `outage_slow` they stay connected and read nothing meanwhile, like a phone in a tunnel. With `outage_s` 0 the
    connections are cut: the outcome of open sends is unknown, and the users reconnect as fast as back-off and jitter
    allow (reconnect storm). Otherwise they wait for their open sends first, and read what they missed afterwards.
    """
    traffic, deadline_s = record.plan.traffic, record.plan.ack_deadline_s
    while True:
        await asyncio.sleep(traffic.outage_every_s)
        ready = [user for user in users.values() if user.ready]
        chosen = random.sample(ready, round(len(ready) * traffic.outage_share))
        if traffic.outage_slow:
            await asyncio.gather(*(_stop_reading(user, traffic.outage_s) for user in chosen))
        else:
            await asyncio.gather(*(_disconnect(user, traffic.outage_s, deadline_s) for user in chosen))


async def _stop_reading(user: EngineUser, for_s: float) -> None:
    if (resume := user.pause_reading()) is not None:
        try:
            await asyncio.sleep(for_s)
        finally:
            resume()


async def _disconnect(user: EngineUser, for_s: float, within_s: float) -> None:
    if for_s:
        user.away, user.ready = True, False  # what is due from now on waits
        until_s = time.monotonic() + within_s
        try:
            while user.in_flight and time.monotonic() < until_s:  # noqa: ASYNC110 - counted on the hot path
                await asyncio.sleep(_POLL_S)
        except asyncio.CancelledError:
            # The run is over while the connection is still up: everything is read back over it.
            user.away, user.ready = False, True
            raise
        user.pause_s = for_s
    user.abort()


async def catch_up(record: RunRecord, user: EngineUser) -> None:
    """Read what a user missed, as a client does; what fails is read at the end of the run."""
    for target in user.plan.targets:
        if target.conversation in record.begin:
            try:
                await read_once(record, user, target.conversation)
            except ConnectionLost:
                return
