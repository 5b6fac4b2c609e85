"""What the steps of the canary share: how much to do, who hears answers, what became of a step, the birds themselves."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fixtures.clients.actions import Answer, Connection, NotOffered, Refused, Session
from verifier.judges.journal import Recorder
from verifier.judges.operation import OpPhase
from verifier.judges.redaction import holds_im_token

Result = TypeVar("Result")

_MARKER = re.compile(r"\[([0-9A-Za-z-]+\.[0-9]+)\]")


class CanaryStopped(Exception):
    """The canary cannot go on; what was recorded so far stays. The text says at which step and why."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much the canary does. Times in seconds.

    `settle_s` is what an acknowledged message may take to be readable; `warm_up_s` passes after a WebSocket connected,
    because OpenIM pushes nothing to whom it has not yet marked online.
    """

    users: tuple[str, str]
    run_id: str
    messages: int = 5
    settle_s: float = 2.0
    deadline_s: float = 20.0
    listen_s: float = 2.0
    warm_up_s: float = 1.5


@dataclass(slots=True)
class TokenSightings:
    """Answers that were heard, and where imTokens stood in them."""

    answers: int = 0
    token_in: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Witness:
    """Hears every answer of the gateway and keeps where imTokens stood; what came over a WebSocket is kept apart."""

    http: TokenSightings = field(default_factory=TokenSightings)
    socket: TokenSightings = field(default_factory=TokenSightings)

    def observe(self, answer: Answer) -> None:
        """Told by the adapter."""
        tally = self.socket if answer.socket else self.http
        tally.answers += 1
        if holds_im_token(answer.body.decode("utf-8", "replace")):
            tally.token_in.append(f"body of {answer.route}")
        tally.token_in += [
            f"header {name} of {answer.route}" for name, value in answer.headers.items() if holds_im_token(value)
        ]

    def take(self) -> tuple[int, list[str]]:
        """(answers, places of imTokens) by HTTP since the last call."""
        taken, self.http = self.http, TokenSightings()
        return taken.answers, taken.token_in

    def take_socket(self) -> tuple[int, list[str]]:
        """The same of WebSockets. Nothing is ever skipped: pushes come between any two calls."""
        taken, self.socket = self.socket, TokenSightings()
        return taken.answers, list(dict.fromkeys(taken.token_in))


@dataclass(frozen=True, slots=True)
class Tried(Generic[Result]):
    """What became of a step: its result where `phase` is ok, else what went wrong."""

    phase: OpPhase
    result: Result | None = None
    error: str = ""
    err_code: int | None = None


async def tried(step: Awaitable[Result]) -> Tried[Result]:
    """Carry a step of the adapter out. A clear no is `fail`, anything else that goes wrong `info`. NotOffered passes."""
    try:
        return Tried(OpPhase.OK, await step)
    except NotOffered:
        raise
    except Refused as error:
        return Tried(OpPhase.FAIL, error=told(error), err_code=error.err_code)
    except Exception as error:
        return Tried(OpPhase.INFO, error=told(error))


@dataclass(slots=True)
class Bird:
    """One of the two canaries, under the name that the journal calls it by."""

    name: str
    session: Session
    connection: Connection | None = None
    watch: str = ""

    @property
    def standing(self) -> Connection | None:
        """Its WebSocket, while that stands."""
        return self.connection if self.connection is not None and not self.connection.ended else None


async def asked_openim(
    recorder: Recorder, bird: Bird, route: str, asked: Awaitable[Result], take: Callable[[], tuple[int, list[str]]]
) -> Result:
    """A question to OpenIM by way of the gateway, recorded for GW-01. Raises CanaryStopped where it fails.

    `take` tells how many answers the gateway gave, and where imTokens stood in them.
    """
    call_id = recorder.invoke(bird.name, "im_call", route=route, user=bird.name)
    step = await tried(asked)
    answers, shown = take()
    # Without an answer to look at, nobody can say that no token was in it.
    phase = step.phase if answers else OpPhase.INFO
    code = 0 if step.phase is OpPhase.OK else step.err_code
    recorder.complete(
        phase, bird.name, "im_call", call_id, route=route, err_code=code, error=step.error, token_in=shown
    )
    if step.result is None:
        raise CanaryStopped(f"{route} through the gateway failed for {bird.name}: {step.error}")
    return step.result


def marker_of(text: str) -> str:
    """The marker in a canary's message; empty where there is none."""
    found = _MARKER.search(text)
    return found[1] if found else ""


def told(error: Exception) -> str:
    """An error as a journal keeps it."""
    return (str(error) or type(error).__name__)[:200]
