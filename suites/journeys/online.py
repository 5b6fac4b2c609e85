"""People with an open connection: they talk and hear over OpenIM's WebSocket, through the gateway, and it is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import allure

from fixtures.clients.openim_calls import OpenIMError
from fixtures.clients.openim_ws import WARM_UP_S, OpenIMWebSocket
from fixtures.clients.openim_ws_types import Ack, Push
from suites.journeys.actors import Actor
from verifier.judges.operation import WEBSOCKET, OpPhase
from verifier.judges.recorder import MessageRecorder


@dataclass
class Online:
    """Somebody who is connected. `refs` says how the journal knows OpenIM's conversations."""

    actor: Actor
    socket: OpenIMWebSocket
    refs: dict[str, str]
    pushes: list[Push] = field(default_factory=list)

    @property
    def connection(self) -> str:
        """How the journal calls this connection."""
        return f"{self.actor.name} online"

    async def says(self, text: str, *, to: Actor, ref: str, for_: Sequence[Actor]) -> Ack:
        """Send a message to somebody; everybody in `for_` and the sender must be able to read it."""
        scribe, marker = MessageRecorder(self.actor.journey.recorder), self.actor.journey.next_marker()
        text, name = f"{text} [{marker}]", self.actor.name
        names = [name, *(actor.name for actor in for_)]
        call_id = scribe.begin_send(
            name, marker=marker, conversation=ref, receivers=names, text=text, channel=WEBSOCKET
        )
        with allure.step(f"{name} says {text!r} over the WebSocket"):
            try:
                ack = await self.socket.send_text(text, recv_id=to.openim_id)
            except (OpenIMError, OSError) as error:
                refused = isinstance(error, OpenIMError) and 1000 < error.err_code < 2000
                scribe.end_send(name, call_id, OpPhase.FAIL if refused else OpPhase.INFO, error=str(error))
                raise
        scribe.end_send(name, call_id, OpPhase.OK, message_id=ack.server_msg_id)
        return ack

    async def heard(self) -> list[str]:
        """The texts that were pushed so far, in order."""
        return [push.message.text for push in self.pushes if not push.notification]

    async def notified(self, content_type: int) -> list[dict[str, object]]:
        """What the notifications of a type told so far."""
        return [
            dict(push.message.detail)
            for push in self.pushes
            if push.notification and push.message.content_type == content_type
        ]

    async def reads(self, conversation: str) -> list[str]:
        """Everything in a conversation, pulled over the WebSocket."""
        with allure.step(f"{self.actor.name} pulls over the WebSocket"):
            end = (await self.socket.max_seqs()).get(conversation, 0)
            pulled = await self.socket.pull_range(conversation, begin=1, end=end)
        return [message.text for message in pulled.messages]

    async def listen(self) -> None:
        """Keep and record what is pushed, until the connection ends."""
        scribe = MessageRecorder(self.actor.journey.recorder)
        async for push in self.socket.pushes():
            self.pushes.append(push)
            message = push.message
            ref = self.refs.get(message.conversation_id)
            if push.notification or ref is None:
                continue
            scribe.saw(
                self.actor.name,
                marker=message.text.rpartition("[")[2].removesuffix("]"),
                conversation=ref,
                text=message.text,
                seq=message.seq,
                message_id=message.server_msg_id,
                channel=WEBSOCKET,
                connection=self.connection,
            )


@asynccontextmanager
async def online(*actors: Actor, refs: dict[str, str]) -> AsyncIterator[list[Online]]:
    """Connect people with their sessions, and wait until OpenIM pushes to them. In the end nobody may be gone."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(_one(actor, refs)) for actor in actors]
        # Presence lags: what is sent within the first second is stored and never pushed (trap R2).
        await asyncio.sleep(WARM_UP_S)
        yield found


@asynccontextmanager
async def _one(actor: Actor, refs: dict[str, str]) -> AsyncIterator[Online]:
    recorder = actor.journey.recorder
    with allure.step(f"{actor.name} comes online"):
        connected = Online(actor, await actor.session.im_socket(), refs)
    call_id = recorder.invoke(actor.name, "ws_watch", receiver=actor.name, connection=connected.connection)
    listening = asyncio.create_task(connected.listen())
    try:
        yield connected
    finally:
        ended = connected.socket.ended
        await connected.socket.close()
        await listening
        recorder.complete(
            OpPhase.INFO if ended else OpPhase.OK,
            actor.name,
            "ws_watch",
            call_id,
            receiver=actor.name,
            connection=connected.connection,
            error=str(ended or ""),
        )
