"""The read-back over the users' own connections: it records what is stored, for the judges."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Collection
from typing import Final, Literal

from load.engine.record import RunRecord
from load.engine.rpc import NOTHING_YET, ConnectionLost
from load.engine.user import EngineUser
from load.journal.layout import INFO, OK, Kind

_PAGE: Final = 100
_CONCURRENT_READS: Final = 32
_POLL_S: Final = 0.25
_PAUSE_MAX_S: Final = 5.0
_ATTEMPTS_MIN: Final = 3


Reading = tuple[EngineUser, str]
"""A user, and the conversation that it reads."""


async def read_all_back(
    record: RunRecord, users: Collection[EngineUser], *, settle_s: float, deadline_s: float
) -> None:
    """Wait `settle_s`; read as every member, and again what is acknowledged and missing, for up to `deadline_s`.

    A read position that is taken and empty may be filled later: marking as read drops OpenIM's copy of messages that
    its database does not hold yet [F86]. A user without a connection has until the deadline to reconnect; without it
    its read fails and proves nothing.
    """
    await asyncio.sleep(settle_s + 0.05)
    until_s = time.monotonic() + deadline_s
    await _wait_until_readable(record, users, until_s)
    # A conversation without a beginning has no message of this run: none of its members was ever ready.
    left: list[Reading] = [
        (user, target.conversation)
        for user in users
        for target in user.plan.targets
        if target.conversation in record.begin
    ]
    pause_s, limit = _POLL_S, asyncio.Semaphore(_CONCURRENT_READS)
    for attempt in itertools.count(1):
        found = await asyncio.gather(*(_try(record, reading, limit, until_s) for reading in left))
        over = time.monotonic() >= until_s
        left = [
            reading
            for reading, outcome in zip(left, found, strict=True)
            if (outcome == "short" and not over) or (outcome == "failed" and (not over or attempt < _ATTEMPTS_MIN))
        ]
        if not left:
            return
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


async def _try(
    record: RunRecord, reading: Reading, limit: asyncio.Semaphore, until_s: float
) -> Literal["complete", "short", "failed"]:
    user, conversation = reading
    async with limit:
        while not user.ready and not user.finished and time.monotonic() < until_s:  # noqa: ASYNC110 - rare
            await asyncio.sleep(_POLL_S)
        try:
            found = await read_once(record, user, conversation)
        except ConnectionLost:
            # Recorded in the journal; another attempt may succeed on the next connection.
            return "failed"
    return "complete" if found >= record.acked_in(conversation) else "short"


async def _wait_until_readable(record: RunRecord, users: Collection[EngineUser], until_s: float) -> None:
    readers: dict[str, EngineUser] = {}
    for user in users:
        if user.ready:
            readers.update({target.conversation: user for target in user.plan.targets})
    short = {name: acked for name in readers if (acked := record.acked_in(name))}
    while short and time.monotonic() < until_s:
        for name in list(short):
            user = readers[name]
            try:
                newest = (await user.rpc.positions([name])).get(name, NOTHING_YET).newest
            except ConnectionLost:
                newest = 1 << 62  # do not wait: the read itself fails or succeeds
            if newest >= record.begin[name] - 1 + short[name]:
                del short[name]
        if short:
            await asyncio.sleep(_POLL_S)


async def read_once(record: RunRecord, user: EngineUser, conversation: str) -> int:
    """Record everything of this run that the user can read in the conversation. Raises ConnectionLost.

    Returns how many messages that was, without those whose sends were not answered.
    """
    journal = record.journal
    number, chat = journal.next_read(), journal.conversation(conversation, ())
    begin = record.begin[conversation]
    journal.event(Kind.READ, time.monotonic_ns(), user.user, number, a=chat)
    found: set[int] = set()
    try:
        asked_ns = time.monotonic_ns()
        position = (await user.rpc.positions([conversation])).get(conversation, NOTHING_YET)
        journal.event(Kind.POSITION, asked_ns, user.user, chat, a=position.read)
        newest = position.newest
        for first in range(begin, newest + 1, _PAGE):
            last = min(first + _PAGE - 1, newest)
            pulled = await user.rpc.pull(conversation, first, last)
            now_ns = time.monotonic_ns()
            for one in user.parser.messages(pulled):
                journal.event(Kind.PULLED, now_ns, number, one.number, OK, int(one.altered), one.seq, one.message_id)
                found.add(one.number)
                record.figures.pulled += 1
    except ConnectionLost:
        journal.event(Kind.READ_END, time.monotonic_ns(), user.user, number, INFO)
        raise
    journal.event(Kind.READ_END, time.monotonic_ns(), user.user, number, OK, 1, begin, max(newest, 0))
    return len(found - record.unsure)
