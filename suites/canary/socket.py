"""Steps of the canary over OpenIM's WebSocket through the gateway: connect, listen, request, try to be another user."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

from fixtures.clients.actions import Adapter, NotOffered, OffersWebSocket, PushedMessage
from suites.canary.parts import AnswerObserver, CanaryOptions, CanaryUser, attempt, call_openim, marker_of
from verifier.judges.journal import Recorder
from verifier.judges.operation import WEBSOCKET, OpPhase
from verifier.judges.recorder import MessageRecorder

Result = TypeVar("Result")

_ROUTE = "OpenIM's WebSocket"


class SocketSteps:
    """The steps over WebSockets. Nothing is done or recorded if the adapter does not offer them."""

    def __init__(self, adapter: Adapter, observer: AnswerObserver, recorder: Recorder, options: CanaryOptions) -> None:
        self._adapter = adapter if isinstance(adapter, OffersWebSocket) else None
        self._observer = observer
        self._recorder = recorder
        self._message_recorder = MessageRecorder(recorder)
        self._options = options

    async def connect(self, canaries: Sequence[CanaryUser]) -> None:
        """Connect each canary user, and wait until OpenIM pushes to them."""
        for canary in canaries:
            with suppress(NotOffered):
                await self._connect(canary)
        if any(canary.open_connection for canary in canaries):
            await asyncio.sleep(self._options.warm_up_s)

    async def call(self, canary: CanaryUser, route: str, call: Awaitable[Result]) -> Result:
        """Make a request over the WebSocket, recorded like any call through the gateway. Raises CanaryStopped if it fails."""
        return await call_openim(self._recorder, canary, f"{route} over {_ROUTE}", call, self._observer.take_socket)

    async def end(self, canaries: Sequence[CanaryUser]) -> None:
        """Close the connections, and record whether they were open until now."""
        for canary in canaries:
            if canary.connection is None:
                continue
            ended = canary.connection.ended
            with suppress(Exception):
                await canary.connection.close()
            _, tokens_shown = self._observer.take_socket()
            self._recorder.complete(
                OpPhase.INFO if ended else OpPhase.OK,
                canary.name,
                "ws_watch",
                canary.watch,
                receiver=canary.name,
                connection=_name(canary),
                token_in=tokens_shown,
                error=ended,
            )
            canary.connection = None

    async def claim(self, canary: CanaryUser, other: CanaryUser) -> None:
        """Try to connect as the other canary user: only the session may decide who a user is."""
        if self._adapter is None:
            return
        try:
            step = await attempt(self._adapter.connect_as(canary.session, other.session))
        except NotOffered:
            return
        call_id = self._recorder.invoke(canary.name, "ws_claim", route=_ROUTE, user=canary.name, claimed=other.name)
        _, tokens_shown = self._observer.take_socket()
        prevented = step.phase is OpPhase.FAIL or bool(step.result)
        self._recorder.complete(
            OpPhase.FAIL if prevented else step.phase,
            canary.name,
            "ws_claim",
            call_id,
            reason=step.result or step.error,
            token_in=tokens_shown,
        )

    async def _connect(self, canary: CanaryUser) -> None:
        if self._adapter is None:
            return
        step = await attempt(self._adapter.connect(canary.session, lambda message: self._record_push(canary, message)))
        call_id = self._recorder.invoke(canary.name, "ws_connect", route=_ROUTE, user=canary.name)
        answers, tokens_shown = self._observer.take_socket()
        self._recorder.complete(
            step.phase if answers else OpPhase.INFO,
            canary.name,
            "ws_connect",
            call_id,
            route=_ROUTE,
            connection=_name(canary),
            err_code=0 if step.phase is OpPhase.OK else step.err_code,
            error=step.error,
            token_in=tokens_shown,
        )
        if step.result is not None:
            canary.connection = step.result
            canary.watch = self._recorder.invoke(
                canary.name, "ws_watch", receiver=canary.name, connection=_name(canary)
            )

    def _record_push(self, canary: CanaryUser, message: PushedMessage) -> None:
        marker = marker_of(message.text)
        if marker.startswith(f"{self._options.run_id}."):
            self._message_recorder.saw(
                canary.name,
                marker=marker,
                conversation=message.conversation,
                text=message.text,
                seq=message.seq,
                message_id=message.message_id,
                channel=WEBSOCKET,
                connection=_name(canary),
            )


def _name(canary: CanaryUser) -> str:
    return f"{canary.name} over {_ROUTE}"
