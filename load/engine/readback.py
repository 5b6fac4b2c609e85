"""Reading everything back over the users' own connections, so that the judges know what is stored."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from load.engine.member import Member
from load.engine.questions import Dead
from load.journal.layout import INFO, OK, Kind

if TYPE_CHECKING:
    from load.engine.engine import Engine

_PAGE: Final = 100
_AT_ONCE: Final = 32
_POLL_S: Final = 0.25
_RETRIES: Final = 3


async def read_all_back(engine: Engine, *, settle_s: float, deadline_s: float) -> None:
    """Let things settle; wait up to `deadline_s` for what is acknowledged and not readable; read as every member.

    A user without a connection gets until the deadline to come back; without it a read has failed and proves nothing.
    """
    await asyncio.sleep(settle_s + 0.05)
    until_s = time.monotonic() + deadline_s
    await _wait_until_readable(engine, until_s)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(member: Member) -> None:
        async with limit:
            while not member.ready and not member.finished and time.monotonic() < until_s:  # noqa: ASYNC110 - rare
                await asyncio.sleep(_POLL_S)
            for target in member.plan.targets:
                # Nothing of this run can be where the member never was ready.
                if target.conversation in engine.begin:
                    await _read(engine, member, target.conversation)

    await asyncio.gather(*(one(member) for member in engine.members.values()))


async def _wait_until_readable(engine: Engine, until_s: float) -> None:
    readers: dict[str, Member] = {}
    for member in engine.members.values():
        if member.ready:
            readers.update({target.conversation: member for target in member.plan.targets})
    short: Counter[str] = Counter()
    for member in engine.members.values():
        short.update({name: acked for name, acked in member.acked_by_conversation().items() if name in readers})
    while short and time.monotonic() < until_s:
        for name in list(short):
            member = readers[name]
            try:
                newest = (await member.questions.max_seqs([name])).get(name, 0)
            except Dead:
                newest = 1 << 62  # the read itself will tell
            if newest >= engine.begin[name] - 1 + short[name]:
                del short[name]
        if short:
            await asyncio.sleep(_POLL_S)


async def _read(engine: Engine, member: Member, conversation: str) -> None:
    for attempt in range(_RETRIES):
        try:
            await read_once(engine, member, conversation)
        except Dead:
            # A read that failed is in the journal; another may succeed on the next connection.
            await asyncio.sleep(_POLL_S * 2**attempt)
        else:
            return


async def read_once(engine: Engine, member: Member, conversation: str) -> None:
    """Everything of this run that the member can see there, into the journal. Raises Dead."""
    journal = engine.journal
    number, chat = journal.next_read(), journal.conversation(conversation, ())
    begin = engine.begin[conversation]
    journal.event(Kind.READ, time.monotonic_ns(), member.user, number, a=chat)
    try:
        newest = (await member.questions.max_seqs([conversation])).get(conversation, 0)
        for first in range(begin, newest + 1, _PAGE):
            last = min(first + _PAGE - 1, newest)
            pulled = await member.questions.pull(conversation, first, last)
            now_ns = time.monotonic_ns()
            for seen in member.listener.messages(pulled):
                journal.event(
                    Kind.PULLED, now_ns, number, seen.number, OK, int(seen.altered), seen.seq, seen.message_id
                )
                engine.figures.pulled += 1
    except Dead:
        journal.event(Kind.READ_END, time.monotonic_ns(), member.user, number, INFO)
        raise
    journal.event(Kind.READ_END, time.monotonic_ns(), member.user, number, OK, 1, begin, max(newest, 0))
