"""The canary on OpenIM's WebSocket, through the platform's gateway: connect, listen, ask, try to be somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

from fixtures.clients.actions import Adapter, Heard, NotOffered, SpeaksWebSocket
from suites.canary.parts import Bird, Plan, Witness, asked_openim, marker_of, tried
from verifier.judges.journal import Recorder
from verifier.judges.operation import WEBSOCKET, OpPhase
from verifier.judges.recorder import MessageRecorder

Result = TypeVar("Result")

_ROUTE = "OpenIM's WebSocket"


class SocketSteps:
    """What is done over WebSockets, where the adapter speaks them; else nothing, and the journal holds nothing of it."""

    def __init__(self, adapter: Adapter, witness: Witness, recorder: Recorder, plan: Plan) -> None:
        self._adapter = adapter if isinstance(adapter, SpeaksWebSocket) else None
        self._witness = witness
        self._recorder = recorder
        self._scribe = MessageRecorder(recorder)
        self._plan = plan

    async def connect(self, birds: Sequence[Bird]) -> None:
        """Connect each canary, and wait until OpenIM pushes to them."""
        for bird in birds:
            with suppress(NotOffered):
                await self._connect(bird)
        if any(bird.standing for bird in birds):
            await asyncio.sleep(self._plan.warm_up_s)

    async def asked(self, bird: Bird, route: str, asked: Awaitable[Result]) -> Result:
        """A question over the WebSocket, recorded as any call through the gateway. Raises CanaryStopped where it fails."""
        return await asked_openim(self._recorder, bird, f"{route} over {_ROUTE}", asked, self._witness.take_socket)

    async def end(self, birds: Sequence[Bird]) -> None:
        """Close what was connected, and record whether it stood until now."""
        for bird in birds:
            if bird.connection is None:
                continue
            ended = bird.connection.ended
            with suppress(Exception):
                await bird.connection.close()
            _, shown = self._witness.take_socket()
            self._recorder.complete(
                OpPhase.INFO if ended else OpPhase.OK,
                bird.name,
                "ws_watch",
                bird.watch,
                receiver=bird.name,
                connection=_name(bird),
                token_in=shown,
                error=ended,
            )
            bird.connection = None

    async def claim(self, bird: Bird, other: Bird) -> None:
        """Try to be the other canary: only the session may say who one is."""
        if self._adapter is None:
            return
        try:
            step = await tried(self._adapter.connect_as(bird.session, other.session))
        except NotOffered:
            return
        call_id = self._recorder.invoke(bird.name, "ws_claim", route=_ROUTE, user=bird.name, claimed=other.name)
        _, shown = self._witness.take_socket()
        prevented = step.phase is OpPhase.FAIL or bool(step.result)
        self._recorder.complete(
            OpPhase.FAIL if prevented else step.phase,
            bird.name,
            "ws_claim",
            call_id,
            reason=step.result or step.error,
            token_in=shown,
        )

    async def _connect(self, bird: Bird) -> None:
        if self._adapter is None:
            return
        step = await tried(self._adapter.connect(bird.session, lambda heard: self._heard(bird, heard)))
        call_id = self._recorder.invoke(bird.name, "ws_connect", route=_ROUTE, user=bird.name)
        answers, shown = self._witness.take_socket()
        self._recorder.complete(
            step.phase if answers else OpPhase.INFO,
            bird.name,
            "ws_connect",
            call_id,
            route=_ROUTE,
            connection=_name(bird),
            err_code=0 if step.phase is OpPhase.OK else step.err_code,
            error=step.error,
            token_in=shown,
        )
        if step.result is not None:
            bird.connection = step.result
            bird.watch = self._recorder.invoke(bird.name, "ws_watch", receiver=bird.name, connection=_name(bird))

    def _heard(self, bird: Bird, heard: Heard) -> None:
        marker = marker_of(heard.text)
        if marker.startswith(f"{self._plan.run_id}."):
            self._scribe.saw(
                bird.name,
                marker=marker,
                conversation=heard.conversation,
                text=heard.text,
                seq=heard.seq,
                message_id=heard.message_id,
                channel=WEBSOCKET,
                connection=_name(bird),
            )


def _name(bird: Bird) -> str:
    return f"{bird.name} over {_ROUTE}"
