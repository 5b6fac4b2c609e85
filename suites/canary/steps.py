"""What the canary does on a stack, step by step, each recorded as operations of a journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

from fixtures.clients.actions import (
    Adapter,
    Connection,
    NotOffered,
    OldWebSocket,
    PushSeen,
    Replay,
    Seen,
    Session,
)
from suites.canary.declared import DeviceSteps, HookSteps
from suites.canary.parts import Bird, CanaryStopped, Plan, Witness, asked_openim, marker_of, tried
from suites.canary.socket import SocketSteps
from verifier.judges.journal import Recorder
from verifier.judges.operation import WEBSOCKET, OpPhase
from verifier.judges.recorder import MessageRecorder

Result = TypeVar("Result")

PLATFORMS = (2, 1)
"""Android and iOS, as OpenIM counts them."""

_POLL_S = 0.3
_PAGE = 100


class CanaryRun:
    """Two canaries on one stack. `run` does all steps in order."""

    def __init__(self, adapter: Adapter, witness: Witness, recorder: Recorder, plan: Plan) -> None:
        self._adapter = adapter
        self._witness = witness
        self._recorder = recorder
        self._scribe = MessageRecorder(recorder)
        self._plan = plan
        self._sockets = SocketSteps(adapter, witness, recorder, plan)
        self._hooks = HookSteps(adapter, recorder, plan.run_id)
        self._devices = DeviceSteps(adapter, recorder)
        self._sent = 0
        self._acked = 0

    async def run(self) -> None:
        """Log in, connect, send each way while listening, read back, look at the pushes, try what must be refused.

        Raises CanaryStopped where a step that the others need did not succeed.
        """
        birds = [
            Bird(f"canary-{number}", await self._log_in(f"canary-{number}", user, platform))
            for number, (user, platform) in enumerate(zip(self._plan.users, PLATFORMS, strict=True), 1)
        ]
        conversation = await self._adapter.conversation(birds[0].session, birds[1].session)
        begin = await self._newest(birds[0], conversation) + 1
        pushed_before = [await self._pushed_so_far(bird) for bird in birds]
        probe = asyncio.create_task(self._probe_websocket(birds[1]))
        try:
            # The old connection stands before the first message leaves, if it is let in at all.
            await asyncio.sleep(_POLL_S)
            await self._sockets.connect(birds)
            await self._hooks.begin(birds[0], conversation)
            await self._send_each_way(birds, conversation)
            with suppress(NotOffered):
                await probe
            await asyncio.sleep(self._plan.settle_s)
            await self._await_arrival(birds[0], conversation, begin)
            for bird in birds:
                await self._read_back(bird, conversation, begin)
            await self._hooks.end(birds[0], conversation)
            await self._hooks.deny(birds[0], conversation)
        finally:
            probe.cancel()
            await self._sockets.end(birds)
        for bird, before in zip(birds, pushed_before, strict=True):
            with suppress(NotOffered):
                await self._watch_pushes(bird, before)
        await self._sockets.claim(birds[0], birds[1])
        with suppress(NotOffered):
            await self._replay_nonce(birds[0])
        # At the end: a second login may end what the first one began.
        await self._devices.second_login(
            birds[0],
            PLATFORMS[0],
            conversation,
            lambda platform: self._log_in(birds[0].name, self._plan.users[0], platform),
        )

    async def _log_in(self, name: str, user: str, platform: int) -> Session:
        self._witness.take()
        call_id = self._recorder.invoke(name, "login", user=name, platform=platform)
        step = await tried(self._adapter.log_in(user, platform=platform))
        answers, shown = self._witness.take()
        # Without an answer to look at, nobody can say that no token was in it.
        phase = step.phase if answers else OpPhase.INFO
        self._recorder.complete(
            phase, name, "login", call_id, user=name, platform=platform, token_in=shown, error=step.error
        )
        if step.result is None:
            raise CanaryStopped(f"{name} could not log in: {step.error}")
        return step.result

    async def _send_each_way(self, birds: Sequence[Bird], conversation: str) -> None:
        """Each sends two in a row, over the WebSocket and by way of the platform: both must keep what they acknowledge,
        and the order of one sender across both.
        """
        for first in range(0, self._plan.messages, 2):
            for sender in birds:
                for number in range(first, min(first + 2, self._plan.messages)):
                    connection = sender.standing if number == first else None
                    await self._send(sender, connection, [bird.name for bird in birds], conversation)

    async def _send(
        self, sender: Bird, connection: Connection | None, receivers: Sequence[str], conversation: str
    ) -> None:
        self._sent += 1
        marker = f"{self._plan.run_id}.{self._sent}"
        text = f"canary [{marker}]"
        call_id = self._scribe.begin_send(
            sender.name,
            marker=marker,
            conversation=conversation,
            receivers=receivers,
            text=text,
            channel="platform" if connection is None else WEBSOCKET,
        )
        step = await tried(
            self._adapter.send(sender.session, conversation, text)
            if connection is None
            else connection.send(conversation, text)
        )
        self._acked += step.phase is OpPhase.OK
        self._scribe.end_send(sender.name, call_id, step.phase, message_id=step.result or "", error=step.error)

    async def _await_arrival(self, reader: Bird, conversation: str, begin: int) -> None:
        """Wait until the newest seq accounts for every acknowledged message, or the deadline; the judge decides."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._plan.deadline_s
        while loop.time() < until_s:
            if await self._newest(reader, conversation) >= begin - 1 + self._acked:
                return
            await asyncio.sleep(_POLL_S)

    async def _read_back(self, reader: Bird, conversation: str, begin: int) -> None:
        """Over the reader's WebSocket while that stands, else by REST."""
        connection = reader.standing
        read = self._scribe.begin_read(reader.name, conversation)
        try:
            end = await self._newest(reader, conversation, connection)
            for first in range(begin, end + 1, _PAGE):
                last = min(first + _PAGE - 1, end)
                for seen in await self._read_page(reader, conversation, first, last, connection):
                    self._saw(reader, conversation, seen, read)
        except CanaryStopped as error:
            self._scribe.fail_read(reader.name, read, str(error))
            return
        self._scribe.end_read(reader.name, read, begin=begin, end=end, complete=True)

    async def _read_page(
        self, reader: Bird, conversation: str, begin: int, end: int, connection: Connection | None
    ) -> Sequence[Seen]:
        if connection is None:
            asked = self._adapter.read(reader.session, conversation, begin=begin, end=end)
            return await self._through_gateway(reader, "read", asked)
        return await self._sockets.asked(reader, "read", connection.read(conversation, begin=begin, end=end))

    def _saw(self, reader: Bird, conversation: str, seen: Seen, read: str) -> None:
        marker = marker_of(seen.text)
        # Older canaries' messages, and what anybody else wrote there, are not of this run.
        if not marker.startswith(f"{self._plan.run_id}."):
            return
        self._scribe.saw(
            reader.name,
            marker=marker,
            conversation=conversation,
            text=seen.text,
            seq=seen.seq,
            message_id=seen.message_id,
            read=read,
        )

    async def _newest(self, reader: Bird, conversation: str, connection: Connection | None = None) -> int:
        if connection is None:
            asked = self._adapter.newest_seq(reader.session, conversation)
            return await self._through_gateway(reader, "newest_seq", asked)
        return await self._sockets.asked(reader, "newest_seq", connection.newest_seq(conversation))

    async def _through_gateway(self, bird: Bird, route: str, asked: Awaitable[Result]) -> Result:
        """A question to OpenIM by way of the gateway, recorded for GW-01. Raises CanaryStopped where it fails."""
        self._witness.take()
        return await asked_openim(self._recorder, bird, route, asked, self._witness.take)

    async def _pushed_so_far(self, bird: Bird) -> frozenset[str]:
        with suppress(NotOffered):
            step = await tried(self._adapter.pushes(bird.session))
            return frozenset(push.notification_id for push in step.result or ())
        return frozenset()

    async def _watch_pushes(self, bird: Bird, before: frozenset[str]) -> None:
        """Look at the push sink until it is still, and record what arrived in this run."""
        step = await tried(self._still_pushes(bird))
        call_id = self._recorder.invoke(bird.name, "push_watch", receiver=bird.name)
        for push in step.result or ():
            if push.type:
                self._recorder.observe(
                    bird.name,
                    "push_type",
                    receiver=bird.name,
                    notification_id=push.notification_id,
                    type=push.type,
                    fields=push.fields,
                )
            if push.notification_id not in before:
                self._recorder.observe(
                    bird.name,
                    "push",
                    receiver=bird.name,
                    notification_id=push.notification_id,
                    message_id=push.message_id,
                    marker=marker_of(push.text),
                    source=push.source,
                )
        self._recorder.complete(step.phase, bird.name, "push_watch", call_id, receiver=bird.name, error=step.error)

    async def _still_pushes(self, bird: Bird) -> Sequence[PushSeen]:
        pushes, last = await self._adapter.pushes(bird.session), -1
        while len(pushes) != last:
            last = len(pushes)
            await asyncio.sleep(_POLL_S)
            pushes = await self._adapter.pushes(bird.session)
        return pushes

    async def _replay_nonce(self, bird: Bird) -> None:
        step = await tried(self._adapter.replay(bird.session))
        replay = step.result or Replay("", 0, 0)
        call_id = self._recorder.invoke(bird.name, "nonce_replay", route=replay.route, first_status=replay.first_status)
        status = replay.second_status
        phase = OpPhase.OK if status in range(200, 400) else OpPhase.FAIL if status in range(400, 500) else OpPhase.INFO
        self._recorder.complete(phase, bird.name, "nonce_replay", call_id, status=status, error=step.error)

    async def _probe_websocket(self, bird: Bird) -> None:
        step = await tried(self._adapter.listen_to_old_websocket(bird.session, listen_s=self._plan.listen_s))
        probe = step.result or OldWebSocket("", "")
        call_id = self._recorder.invoke(bird.name, "ws_probe", url=probe.url)
        self._recorder.complete(
            OpPhase.FAIL if probe.refused else step.phase,
            bird.name,
            "ws_probe",
            call_id,
            reason=probe.refused or step.error,
            listened_s=probe.listened_s,
            delivered=probe.delivered,
        )
