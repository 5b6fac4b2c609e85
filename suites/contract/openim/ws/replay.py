"""Replaying recorded sessions, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from suites.contract.openim.server import Server
from suites.contract.openim.shared.target import Target, double, live
from suites.contract.openim.ws import player
from suites.contract.openim.ws.alternatives import accepted
from suites.contract.openim.ws.judge import WsOutcome, judge
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.session_settings import settings_of

Opener = Callable[[Mapping[str, Any]], AbstractAsyncContextManager[Target]]
"""Opens the server for a session; the arguments are those for the double."""

AT_ONCE = 12


def opener(server: Server | None) -> Opener:
    """Opens this server; for None a new double for each session, with the settings of the session."""

    @asynccontextmanager
    async def open_double(arguments: Mapping[str, Any]) -> AsyncIterator[Target]:
        async with double(**arguments) as target:
            yield target

    @asynccontextmanager
    async def open_live(_arguments: Mapping[str, Any]) -> AsyncIterator[Target]:
        assert server is not None
        async with live(server) as target:
            yield target

    return open_double if server is None else open_live


async def play_all(sessions: Sequence[Session], open_target: Opener) -> list[SessionResult]:
    """Play sessions, up to AT_ONCE at a time; the results in the order given."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(session: Session) -> SessionResult:
        settings = settings_of(session.name)
        async with gate, open_target(settings.double_for(session.recording)) as target:
            return await player.play(session, target, settings)

    return await asyncio.gather(*map(one, sessions))


@dataclass(frozen=True)
class JudgedSession:
    """The outcomes of a session, and why some differences are accepted: sentence -> reason."""

    outcomes: list[WsOutcome]
    accepted: dict[str, str]


async def judge_all(sessions: Sequence[Session], open_target: Opener) -> dict[str, JudgedSession]:
    """Play sessions and judge them: name -> outcomes, in the order given.

    All are played before the first is judged: judging blocks the event loop longer than scaled heartbeats allow.
    """
    found = {}
    for result in await play_all(sessions, open_target):
        settings = settings_of(result.session.name)
        outcomes = judge(result, settings)
        found[result.session.name] = JudgedSession(outcomes, accepted(result, outcomes, settings))
    return found
