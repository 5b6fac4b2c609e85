"""Users with an open connection, who send and receive over OpenIM's WebSocket through the gateway. All of it is recorded."""

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
    """A connected user. `refs` maps OpenIM's conversation ids to their names in the journal."""

    actor: Actor
    socket: OpenIMWebSocket
    refs: dict[str, str]
    pushes: list[Push] = field(default_factory=list)

    @property
    def connection(self) -> str:
        """The connection's name in the journal."""
        return f"{self.actor.name} online"

    async def says(self, text: str, *, to: Actor, ref: str, for_: Sequence[Actor]) -> Ack:
        """Send a message to a user. Everyone in `for_` and the sender must be able to read it."""
        message_recorder, marker = MessageRecorder(self.actor.journey.recorder), self.actor.journey.next_marker()
        text, name = f"{text} [{marker}]", self.actor.name
        names = [name, *(actor.name for actor in for_)]
        call_id = message_recorder.begin_send(
            name, marker=marker, conversation=ref, receivers=names, text=text, channel=WEBSOCKET
        )
        with allure.step(f"{name} says {text!r} over the WebSocket"):
            try:
                ack = await self.socket.send_text(text, recv_id=to.openim_id)
            except (OpenIMError, OSError) as error:
                refused = isinstance(error, OpenIMError) and 1000 < error.err_code < 2000
                message_recorder.end_send(name, call_id, OpPhase.FAIL if refused else OpPhase.INFO, error=str(error))
                raise
        message_recorder.end_send(name, call_id, OpPhase.OK, message_id=ack.server_msg_id)
        return ack

    async def received(self) -> list[str]:
        """The texts that were pushed so far, in order."""
        return [push.message.text for push in self.pushes if not push.notification]

    async def notified(self, content_type: int) -> list[dict[str, object]]:
        """The contents of the notifications of a type so far."""
        return [
            dict(push.message.detail)
            for push in self.pushes
            if push.notification and push.message.content_type == content_type
        ]

    async def reads(self, conversation: str) -> list[str]:
        """Every message of a conversation, pulled over the WebSocket."""
        with allure.step(f"{self.actor.name} pulls over the WebSocket"):
            end = (await self.socket.max_seqs()).get(conversation, 0)
            pulled = await self.socket.pull_range(conversation, begin=1, end=end)
        return [message.text for message in pulled.messages]

    async def listen(self) -> None:
        """Collect and record pushes until the connection ends."""
        message_recorder = MessageRecorder(self.actor.journey.recorder)
        async for push in self.socket.pushes():
            self.pushes.append(push)
            message = push.message
            ref = self.refs.get(message.conversation_id)
            if push.notification or ref is None:
                continue
            message_recorder.saw(
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
    """Connect users with their sessions, and wait until OpenIM pushes to them. Whether they stay connected is recorded."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(_one(actor, refs)) for actor in actors]
        # A message sent within the first second is stored and never pushed [F119].
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
