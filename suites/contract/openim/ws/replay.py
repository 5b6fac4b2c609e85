"""Replaying recorded sessions, side by side where the machine allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from suites.contract.openim.server import Server
from suites.contract.openim.target import Target, double, live
from suites.contract.openim.ws.judge import Outcome, judge
from suites.contract.openim.ws.notes import Notes, notes_on
from suites.contract.openim.ws.perform import Performed, perform
from suites.contract.openim.ws.recording import Session

Open = Callable[[Session, Notes], AbstractAsyncContextManager[Target]]
"""Gives a session its server."""

AT_ONCE = 12


def opener(server: Server | None) -> Open:
    """For None a double of its own for each session, in the state that the recorded server was in; else that server."""

    @asynccontextmanager
    async def open_double(session: Session, notes: Notes) -> AsyncIterator[Target]:
        async with double(**notes.double) as target:
            yield target

    @asynccontextmanager
    async def open_live(session: Session, notes: Notes) -> AsyncIterator[Target]:
        assert server is not None
        async with live(server) as target:
            yield target

    return open_double if server is None else open_live


async def play(session: Session, open_target: Open) -> Performed:
    """Play one session."""
    notes = notes_on(session.name)
    async with open_target(session, notes) as target:
        return await perform(session, target, notes)


async def replay_all(
    sessions: Sequence[Session], open_target: Open, *, at_once: int = AT_ONCE
) -> dict[str, list[Outcome]]:
    """Play sessions, some at a time; name -> outcomes, in the order given."""
    gate = asyncio.Semaphore(at_once)

    async def one(session: Session) -> Performed:
        async with gate:
            return await play(session, open_target)

    # Judging takes long looks; heartbeats that are tenths of a second would not survive them in between.
    return {
        performed.session.name: judge(performed, notes_on(performed.session.name))
        for performed in await asyncio.gather(*map(one, sessions))
    }
