"""Replaying recorded sessions, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from suites.contract.openim.server import Server
from suites.contract.openim.shared.target import Target, double, live
from suites.contract.openim.ws import player
from suites.contract.openim.ws.judge import WsOutcome, judge
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.session_settings import SessionSettings, settings_of

Opener = Callable[[SessionSettings], AbstractAsyncContextManager[Target]]
"""Opens the server for a session."""

AT_ONCE = 12


def opener(server: Server | None) -> Opener:
    """Opens this server; for None a new double for each session, with the settings of the session."""

    @asynccontextmanager
    async def open_double(settings: SessionSettings) -> AsyncIterator[Target]:
        async with double(**settings.double) as target:
            yield target

    @asynccontextmanager
    async def open_live(settings: SessionSettings) -> AsyncIterator[Target]:
        assert server is not None
        async with live(server) as target:
            yield target

    return open_double if server is None else open_live


async def play_all(sessions: Sequence[Session], open_target: Opener) -> list[SessionResult]:
    """Play sessions, up to AT_ONCE at a time; the results in the order given."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(session: Session) -> SessionResult:
        settings = settings_of(session.name)
        async with gate, open_target(settings) as target:
            return await player.play(session, target, settings)

    return await asyncio.gather(*map(one, sessions))


async def replay_all(sessions: Sequence[Session], open_target: Opener) -> dict[str, list[WsOutcome]]:
    """Play sessions and judge them: name -> outcomes, in the order given.

    All are played before the first is judged: judging blocks the event loop longer than scaled heartbeats allow.
    """
    results = await play_all(sessions, open_target)
    return {result.session.name: judge(result, settings_of(result.session.name)) for result in results}
