"""The read-back over the users' own connections: it records what is stored, for the judges."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final, Literal

from load.engine.patience import Patience
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
    record: RunRecord, users: Collection[EngineUser], patience: Patience, *, settle_s: float
) -> None:
    """Wait `settle_s`, then while messages become readable; read as every member, and again what is missing.

    It ends when everything that was acknowledged is read, when a reading that began in a quiet server still lacks it, or at the
    deadline. A read position that is taken and empty may be filled later: marking as read drops OpenIM's copy of messages that
    its database does not hold yet [F86]. A user without a connection has until the deadline to reconnect; without it its read
    fails and proves nothing. At the end every connection has received a frame `settle_s` after the last message, so that a push
    that is missing there is known to be missing.
    """
    await asyncio.sleep(settle_s + 0.05)
    await _drain(record, users, patience)
    # A conversation without a beginning has no message of this run: none of its members was ever ready.
    left: list[Reading] = [
        (user, target.conversation)
        for user in users
        for target in user.plan.targets
        if target.conversation in record.begin
    ]
    most: dict[str, int] = {}
    pause_s, limit = _POLL_S, asyncio.Semaphore(_CONCURRENT_READS)
    for attempt in itertools.count(1):
        began_s = time.monotonic()
        found = await asyncio.gather(*(_try(record, reading, limit, patience, most) for reading in left))
        _note_pushes(record, patience)
        left = [
            reading
            for reading, outcome in zip(left, found, strict=True)
            if (outcome == "short" and not patience.over and not patience.is_quiet(began_s))
            or (outcome == "failed" and (not patience.over or attempt < _ATTEMPTS_MIN))
        ]
        if not left:
            break
        await asyncio.sleep(patience.pause_s(pause_s))
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)
    await _await_pushes(record, users, settle_s)


async def _try(
    record: RunRecord, reading: Reading, limit: asyncio.Semaphore, patience: Patience, most: dict[str, int]
) -> Literal["complete", "short", "failed"]:
    user, conversation = reading
    async with limit:
        while not user.ready and not user.finished and not patience.over:  # noqa: ASYNC110 - rare
            await asyncio.sleep(_POLL_S)
        try:
            found = await read_once(record, user, conversation)
        except ConnectionLost:
            # Recorded in the journal; another attempt may succeed on the next connection.
            return "failed"
    if found > most.get(conversation, 0):
        most[conversation] = found
        patience.progressed()
    return "complete" if found >= record.acked_in(conversation) else "short"


async def _drain(record: RunRecord, users: Collection[EngineUser], patience: Patience) -> None:
    """Wait until every acknowledged message has a position, while positions are taken."""
    readers: dict[str, EngineUser] = {}
    for user in users:
        if user.ready:
            readers.update({target.conversation: user for target in user.plan.targets})
    acked = {name: count for name in readers if (count := record.acked_in(name))}
    taken = dict.fromkeys(acked, 0)
    short, pause_s = list(acked), _POLL_S
    while short and not patience.over:
        for name in short:
            try:
                newest = (await readers[name].rpc.positions([name])).get(name, NOTHING_YET).newest
            except ConnectionLost:
                newest = 1 << 62  # do not wait: the read itself fails or succeeds
            taken[name] = min(newest - record.begin[name] + 1, acked[name])
        _note_pushes(record, patience)
        patience.count(sum(taken.values()), sum(acked.values()))
        short = [name for name in short if taken[name] < acked[name]]
        if not short or patience.is_quiet():
            return
        await asyncio.sleep(patience.pause_s(pause_s))
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


def _note_pushes(record: RunRecord, patience: Patience) -> None:
    if record.pushed_ns:
        patience.progressed(record.pushed_ns / 1e9)


async def _await_pushes(record: RunRecord, users: Collection[EngineUser], settle_s: float) -> None:
    """Wait until pushes of the newest messages are due, and let every connection receive a frame after that."""
    await asyncio.sleep(settle_s + 0.05)
    limit = asyncio.Semaphore(_CONCURRENT_READS)

    async def ask(user: EngineUser, conversation: str) -> None:
        async with limit:
            with suppress(ConnectionLost):
                await user.rpc.positions([conversation])

    await asyncio.gather(
        *(ask(user, user.plan.targets[0].conversation) for user in users if user.ready and user.plan.targets)
    )


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
