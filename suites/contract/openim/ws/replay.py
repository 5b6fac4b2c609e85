"""Replaying recorded sessions, side by side where the machine allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from suites.contract.openim.target import Server, Target, double, live
from suites.contract.openim.ws.judge import Outcome, judge
from suites.contract.openim.ws.notes import Notes, notes_on
from suites.contract.openim.ws.perform import perform
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


async def replay(session: Session, open_target: Open) -> list[Outcome]:
    """Play one session and judge it."""
    notes = notes_on(session.name)
    async with open_target(session, notes) as target:
        performed = await perform(session, target, notes)
    return judge(performed, notes)


async def replay_all(
    sessions: Sequence[Session], open_target: Open, *, at_once: int = AT_ONCE
) -> dict[str, list[Outcome]]:
    """Play sessions, some at a time; name -> outcomes, in the order given."""
    gate = asyncio.Semaphore(at_once)

    async def one(session: Session) -> list[Outcome]:
        async with gate:
            return await replay(session, open_target)

    found = await asyncio.gather(*(one(session) for session in sessions))
    return {session.name: outcomes for session, outcomes in zip(sessions, found, strict=True)}
