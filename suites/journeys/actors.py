"""Named users with one device each, whose messages are recorded for the judges."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import allure

from fixtures.clients.gateway import Gateway, GatewayError, Session
from fixtures.clients.gateway_types import Push, Sent
from verifier.judges.journal import Recorder
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import MessageRecorder

_READ_MAX = 100


@dataclass
class Journey:
    """One journey: its recorder, and the names of its users."""

    recorder: Recorder
    sent: int = 0
    actors: list[str] = field(default_factory=list)

    def next_marker(self) -> str:
        """A marker for the next message."""
        self.sent += 1
        return f"m{self.sent}"


@dataclass
class Actor:
    """A user with a name and a session."""

    name: str
    session: Session
    journey: Journey

    @property
    def openim_id(self) -> str:
        """The user's id in OpenIM."""
        return self.session.user_id.hex

    async def says(self, text: str, *, to: str, for_: Sequence[Actor]) -> Sent:
        """Send a message to a conversation. Everyone in `for_` and the sender must be able to read it."""
        message_recorder, marker = MessageRecorder(self.journey.recorder), self.journey.next_marker()
        text = f"{text} [{marker}]"
        names = [self.name, *(actor.name for actor in for_)]
        call_id = message_recorder.begin_send(self.name, marker=marker, conversation=to, receivers=names, text=text)
        with allure.step(f"{self.name} says {text!r}"):
            try:
                sent = await self.session.send(to, text)
            except GatewayError as error:
                phase = OpPhase.FAIL if error.status < 500 else OpPhase.INFO
                message_recorder.end_send(self.name, call_id, phase, error=str(error))
                raise
        message_recorder.end_send(self.name, call_id, OpPhase.OK, message_id=sent["message_id"])
        return sent

    async def reads(self, ref: str) -> list[str]:
        """Every message of a conversation as this user's app shows it, oldest first."""
        message_recorder = MessageRecorder(self.journey.recorder)
        read = message_recorder.begin_read(self.name, ref)
        with allure.step(f"{self.name} reads"):
            messages = await self.session.messages(ref, limit=_READ_MAX)
        for message in messages:
            self._saw(message_recorder, ref, message["text"], message["seq"], message["message_id"], read)
        end = max((message["seq"] for message in messages), default=0)
        message_recorder.end_read(self.name, read, begin=1, end=end, complete=len(messages) < _READ_MAX)
        return [message["text"] for message in messages]

    async def reads_in_openim(self, ref: str, conversation: str) -> list[str]:
        """The same conversation as OpenIM has it for this user. `ref` is its name in the journal."""
        message_recorder = MessageRecorder(self.journey.recorder)
        read = message_recorder.begin_read(self.name, ref)
        wanted = {"conversationID": conversation, "begin": 1, "end": _READ_MAX, "num": _READ_MAX}
        with allure.step(f"{self.name} reads in OpenIM"):
            envelope = await self.session.im(
                "/msg/pull_msg_by_seq", {"userID": self.openim_id, "seqRanges": [wanted], "order": 0}
            )
        found = ((envelope["data"].get("msgs") or {}).get(conversation) or {}).get("Msgs") or []
        texts = [_text(row) for row in found]
        for row, text in zip(found, texts, strict=True):
            self._saw(message_recorder, ref, text, row["seq"], row["serverMsgID"], read)
        # OpenIM has only the messages since the move, so this read does not prove that older ones are missing.
        message_recorder.end_read(self.name, read, begin=1, end=_READ_MAX, complete=False)
        return texts

    async def chat_pushes(self, message_id: str) -> list[Push]:
        """The pushes for one message that reached this user's device."""
        return [
            push
            for push in await self.session.pushes()
            if push["type"] == "chat_message" and push["body"].get("message_id") == message_id
        ]

    async def watches_pushes(self, *message_ids: str) -> None:
        """Record the device's pushes for these messages, for the judge of double pushes."""
        recorder = self.journey.recorder
        call_id = recorder.invoke(self.name, "push_watch", receiver=self.name)
        for message_id in message_ids:
            for push in await self.chat_pushes(message_id):
                recorder.observe(
                    self.name,
                    "push",
                    receiver=self.name,
                    notification_id=push["notification_id"],
                    message_id=message_id,
                    source="the platform's push worker",
                )
        recorder.complete(OpPhase.OK, self.name, "push_watch", call_id, receiver=self.name)

    def _saw(
        self, message_recorder: MessageRecorder, ref: str, text: str, seq: int, message_id: str, read: str
    ) -> None:
        marker = text.rpartition("[")[2].removesuffix("]")
        message_recorder.saw(
            self.name, marker=marker, conversation=ref, text=text, seq=seq, message_id=message_id, read=read
        )


async def enter(gateway: Gateway, journey: Journey, name: str, phone: str, *, platform: int = 2) -> Actor:
    """Sign a user up."""
    with allure.step(f"{name} signs up"):
        session = await gateway.sign_up(phone, name.capitalize(), platform=platform)
    journey.actors.append(name)
    return Actor(name, session, journey)


def _text(row: dict[str, Any]) -> str:
    return str(json.loads(base64.b64decode(row["content"]))["content"])
