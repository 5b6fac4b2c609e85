"""Connections that end on purpose while the run is on: all at once and without a word, or some of them for a while."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

from load.engine.member import Member
from load.engine.readback import read_once
from load.engine.rpc import Dead

if TYPE_CHECKING:
    from load.engine.engine import Engine

_POLL_S: Final = 0.02


async def outages(engine: Engine) -> None:
    """Until cancelled: every `outage_every_s` the chosen share of the users loses its connection for `outage_s`.

    With `outage_slow` they keep it and read nothing meanwhile: a phone in a tunnel. Otherwise, with `outage_s` 0, the end comes as a
    surprise: what was under way stays unknown, and they come back as fast as back-off and jitter let them (reconnect storm). Else they
    finish what they are sending first, and read what they missed when they are back.
    """
    plan = engine.plan
    while True:
        await asyncio.sleep(plan.outage_every_s)
        ready = [member for member in engine.members.values() if member.ready]
        chosen = random.sample(ready, round(len(ready) * plan.outage_share))
        if plan.outage_slow:
            await asyncio.gather(*(_read_nothing(member, plan.outage_s) for member in chosen))
        else:
            await asyncio.gather(*(_leave(member, plan.outage_s, plan.ack_deadline_s) for member in chosen))


async def _read_nothing(member: Member, for_s: float) -> None:
    if (resume := member.pause_reading()) is not None:
        try:
            await asyncio.sleep(for_s)
        finally:
            resume()


async def _leave(member: Member, for_s: float, within_s: float) -> None:
    if for_s:
        member.resting, member.ready = True, False  # what is due from now on waits
        until_s = time.monotonic() + within_s
        try:
            while member.in_flight and time.monotonic() < until_s:  # noqa: ASYNC110 - counted on the hot path
                await asyncio.sleep(_POLL_S)
        except asyncio.CancelledError:
            # The run is over, and the connection still stands: everything is read back over it.
            member.resting, member.ready = False, True
            raise
        member.rest_s = for_s
    member.abort()


async def catch_up(engine: Engine, member: Member) -> None:
    """Somebody is back and pulls the history, as a client does; what fails is read at the end of the run."""
    for target in member.plan.targets:
        if target.conversation in engine.begin:
            try:
                await read_once(engine, member, target.conversation)
            except Dead:
                return
