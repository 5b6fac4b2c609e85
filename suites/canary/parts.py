"""What the steps of the canary share: options, users, outcomes of calls, and the observer of the gateway's answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fixtures.clients.actions import Answer, CanaryConnection, NotOffered, Refused, Session
from verifier.judges.journal import Recorder
from verifier.judges.operation import OpPhase
from verifier.judges.redaction import holds_im_token

Result = TypeVar("Result")

_MARKER = re.compile(r"\[([0-9A-Za-z-]+\.[0-9]+)\]")


class CanaryStopped(Exception):
    """The canary cannot continue. The journal keeps what was recorded. The text names the step and the reason."""


@dataclass(frozen=True, kw_only=True)
class CanaryOptions:
    """The options of one run. Times are in seconds.

    `settle_s`: how long an acknowledged message may take to be readable; `warm_up_s`: pause after a WebSocket has connected,
    because OpenIM pushes nothing to a user who is not yet marked online [F119].
    """

    users: tuple[str, str]
    run_id: str
    messages: int = 5
    settle_s: float = 2.0
    deadline_s: float = 20.0
    listen_s: float = 2.0
    warm_up_s: float = 1.5


@dataclass(slots=True)
class AnswerCounts:
    """How many answers were observed, and the places of imTokens in them."""

    answers: int = 0
    token_in: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AnswerObserver:
    """Observes every answer of the gateway and keeps where imTokens were in it, separately for HTTP and WebSocket."""

    http: AnswerCounts = field(default_factory=AnswerCounts)
    socket: AnswerCounts = field(default_factory=AnswerCounts)

    def observe(self, answer: Answer) -> None:
        """Called by the adapter with each answer."""
        counts = self.socket if answer.socket else self.http
        counts.answers += 1
        if holds_im_token(answer.body.decode("utf-8", "replace")):
            counts.token_in.append(f"body of {answer.route}")
        counts.token_in += [
            f"header {name} of {answer.route}" for name, value in answer.headers.items() if holds_im_token(value)
        ]

    def take(self) -> tuple[int, list[str]]:
        """(number of answers, places of imTokens) over HTTP since the last call."""
        taken, self.http = self.http, AnswerCounts()
        return taken.answers, taken.token_in

    def take_socket(self) -> tuple[int, list[str]]:
        """The same for WebSockets. Pushes between two calls are included."""
        taken, self.socket = self.socket, AnswerCounts()
        return taken.answers, list(dict.fromkeys(taken.token_in))


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Result]):
    """The outcome of a step: its result if `phase` is ok, otherwise the error."""

    phase: OpPhase
    result: Result | None = None
    error: str = ""
    err_code: int | None = None


async def attempt(step: Awaitable[Result]) -> Attempt[Result]:
    """Await a step of the adapter. A refusal is `fail`, any other exception `info`. NotOffered is raised."""
    try:
        return Attempt(OpPhase.OK, await step)
    except NotOffered:
        raise
    except Refused as error:
        return Attempt(OpPhase.FAIL, error=error_text(error), err_code=error.err_code)
    except Exception as error:
        return Attempt(OpPhase.INFO, error=error_text(error))


@dataclass(slots=True)
class CanaryUser:
    """One of the two users of the canary, with the name that the journal uses."""

    name: str
    session: Session
    connection: CanaryConnection | None = None
    watch: str = ""

    @property
    def open_connection(self) -> CanaryConnection | None:
        """Its WebSocket while that is open, or None."""
        return self.connection if self.connection is not None and not self.connection.ended else None


async def call_openim(
    recorder: Recorder,
    canary: CanaryUser,
    route: str,
    call: Awaitable[Result],
    take: Callable[[], tuple[int, list[str]]],
) -> Result:
    """Make a request to OpenIM through the gateway and record it for GW-01. Raises CanaryStopped if it fails.

    `take` returns the number of the gateway's answers, and the places of imTokens in them.
    """
    call_id = recorder.invoke(canary.name, "im_call", route=route, user=canary.name)
    step = await attempt(call)
    answers, tokens_shown = take()
    # Without an observed answer it is unknown whether it contained a token.
    phase = step.phase if answers else OpPhase.INFO
    code = 0 if step.phase is OpPhase.OK else step.err_code
    recorder.complete(
        phase, canary.name, "im_call", call_id, route=route, err_code=code, error=step.error, token_in=tokens_shown
    )
    if step.result is None:
        raise CanaryStopped(f"{route} through the gateway failed for {canary.name}: {step.error}")
    return step.result


def marker_of(text: str) -> str:
    """The marker in a canary's message. Empty if there is none."""
    found = _MARKER.search(text)
    return found[1] if found else ""


def error_text(error: Exception) -> str:
    """An error message for the journal."""
    return (str(error) or type(error).__name__)[:200]
