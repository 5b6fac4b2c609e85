"""Reading everything back over the users' own connections, so that the judges know what is stored."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Final, Literal

from load.engine.member import Member
from load.engine.rpc import NOTHING_YET, Dead
from load.journal.layout import INFO, OK, Kind

if TYPE_CHECKING:
    from load.engine.engine import Engine

_PAGE: Final = 100
_AT_ONCE: Final = 32
_POLL_S: Final = 0.25
_PAUSE_MOST_S: Final = 5.0
_FAILURES_MOST: Final = 3


Place = tuple[Member, str]
"""Who reads which conversation."""


async def read_all_back(engine: Engine, *, settle_s: float, deadline_s: float) -> None:
    """Let things settle; read as every member, and again what is acknowledged and not there, for up to `deadline_s`.

    A place that is taken and empty may fill: marking as read drops OpenIM's copy of messages that its database does not hold yet
    (REST facts, msg). A user without a connection gets until the deadline to come back; without it a read has failed and proves nothing.
    """
    await asyncio.sleep(settle_s + 0.05)
    until_s = time.monotonic() + deadline_s
    await _wait_until_readable(engine, until_s)
    # Nothing of this run can be where the member never was ready.
    left: list[Place] = [
        (member, target.conversation)
        for member in engine.members.values()
        for target in member.plan.targets
        if target.conversation in engine.begin
    ]
    pause_s, limit = _POLL_S, asyncio.Semaphore(_AT_ONCE)
    for attempt in itertools.count(1):
        found = await asyncio.gather(*(_try(engine, place, limit, until_s) for place in left))
        over = time.monotonic() >= until_s
        left = [
            place
            for place, state in zip(left, found, strict=True)
            if (state == "short" and not over) or (state == "failed" and (not over or attempt < _FAILURES_MOST))
        ]
        if not left:
            return
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_MOST_S)


async def _try(
    engine: Engine, place: Place, limit: asyncio.Semaphore, until_s: float
) -> Literal["whole", "short", "failed"]:
    member, conversation = place
    async with limit:
        while not member.ready and not member.finished and time.monotonic() < until_s:  # noqa: ASYNC110 - rare
            await asyncio.sleep(_POLL_S)
        try:
            there = await read_once(engine, member, conversation)
        except Dead:
            # In the journal; another may succeed on the next connection.
            return "failed"
    return "whole" if there >= engine.acked_in(conversation) else "short"


async def _wait_until_readable(engine: Engine, until_s: float) -> None:
    readers: dict[str, Member] = {}
    for member in engine.members.values():
        if member.ready:
            readers.update({target.conversation: member for target in member.plan.targets})
    short = {name: acked for name in readers if (acked := engine.acked_in(name))}
    while short and time.monotonic() < until_s:
        for name in list(short):
            member = readers[name]
            try:
                newest = (await member.questions.positions([name])).get(name, NOTHING_YET).newest
            except Dead:
                newest = 1 << 62  # the read itself will tell
            if newest >= engine.begin[name] - 1 + short[name]:
                del short[name]
        if short:
            await asyncio.sleep(_POLL_S)


async def read_once(engine: Engine, member: Member, conversation: str) -> int:
    """Everything of this run that the member can see there, into the journal. Raises Dead.

    Returns how many messages that was, without those whose sends nobody answered.
    """
    journal = engine.journal
    number, chat = journal.next_read(), journal.conversation(conversation, ())
    begin = engine.begin[conversation]
    journal.event(Kind.READ, time.monotonic_ns(), member.user, number, a=chat)
    there: set[int] = set()
    try:
        asked_ns = time.monotonic_ns()
        position = (await member.questions.positions([conversation])).get(conversation, NOTHING_YET)
        journal.event(Kind.POSITION, asked_ns, member.user, chat, a=position.read)
        newest = position.newest
        for first in range(begin, newest + 1, _PAGE):
            last = min(first + _PAGE - 1, newest)
            pulled = await member.questions.pull(conversation, first, last)
            now_ns = time.monotonic_ns()
            for seen in member.listener.messages(pulled):
                journal.event(
                    Kind.PULLED, now_ns, number, seen.number, OK, int(seen.altered), seen.seq, seen.message_id
                )
                there.add(seen.number)
                engine.figures.pulled += 1
    except Dead:
        journal.event(Kind.READ_END, time.monotonic_ns(), member.user, number, INFO)
        raise
    journal.event(Kind.READ_END, time.monotonic_ns(), member.user, number, OK, 1, begin, max(newest, 0))
    return len(there - engine.unsure)
