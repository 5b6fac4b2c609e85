"""The steps of the canary, each recorded as operations of a journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

from fixtures.clients.actions import (
    Adapter,
    CanaryConnection,
    NotOffered,
    OfflinePush,
    OldWebSocket,
    ReadMessage,
    Replay,
    Session,
)
from suites.canary.declared import DeviceSteps, HookSteps
from suites.canary.parts import (
    AnswerObserver,
    CanaryOptions,
    CanaryStopped,
    CanaryUser,
    attempt,
    call_openim,
    marker_of,
)
from suites.canary.socket import SocketSteps
from verifier.judges.journal import Recorder
from verifier.judges.operation import WEBSOCKET, OpPhase
from verifier.judges.recorder import MessageRecorder

Result = TypeVar("Result")

PLATFORMS = (2, 1)
"""Android and iOS, as OpenIM numbers platforms."""

_POLL_S = 0.3
_PAGE = 100


class CanaryRun:
    """Two canary users on one stack. `run` does all steps in order."""

    def __init__(self, adapter: Adapter, observer: AnswerObserver, recorder: Recorder, options: CanaryOptions) -> None:
        self._adapter = adapter
        self._observer = observer
        self._recorder = recorder
        self._message_recorder = MessageRecorder(recorder)
        self._options = options
        self._sockets = SocketSteps(adapter, observer, recorder, options)
        self._hooks = HookSteps(adapter, recorder, options.run_id)
        self._devices = DeviceSteps(adapter, recorder)
        self._sent = 0
        self._acked = 0

    async def run(self) -> None:
        """Log in, connect, send both ways while listening, read back, check the pushes, try what must be refused.

        Raises CanaryStopped if a step that the others need fails.
        """
        canaries = [
            CanaryUser(f"canary-{number}", await self._log_in(f"canary-{number}", user, platform))
            for number, (user, platform) in enumerate(zip(self._options.users, PLATFORMS, strict=True), 1)
        ]
        conversation = await self._adapter.conversation(canaries[0].session, canaries[1].session)
        begin = await self._newest(canaries[0], conversation) + 1
        pushed_before = [await self._pushed_so_far(canary) for canary in canaries]
        probe = asyncio.create_task(self._probe_websocket(canaries[1]))
        try:
            # The old connection is open before the first message is sent, if it is accepted at all.
            await asyncio.sleep(_POLL_S)
            await self._sockets.connect(canaries)
            await self._hooks.begin(canaries[0], conversation)
            await self._send_each_way(canaries, conversation)
            with suppress(NotOffered):
                await probe
            await asyncio.sleep(self._options.settle_s)
            await self._await_arrival(canaries[0], conversation, begin)
            for canary in canaries:
                await self._read_back(canary, conversation, begin)
            await self._hooks.end(canaries[0], conversation)
            await self._hooks.deny(canaries[0], conversation)
        finally:
            probe.cancel()
            await self._sockets.end(canaries)
        for canary, before in zip(canaries, pushed_before, strict=True):
            with suppress(NotOffered):
                await self._watch_pushes(canary, before)
        await self._sockets.claim(canaries[0], canaries[1])
        with suppress(NotOffered):
            await self._replay_nonce(canaries[0])
        # Last, because a second login may end the first session.
        await self._devices.second_login(
            canaries[0],
            PLATFORMS[0],
            conversation,
            lambda platform: self._log_in(canaries[0].name, self._options.users[0], platform),
        )

    async def _log_in(self, name: str, user: str, platform: int) -> Session:
        self._observer.take()
        call_id = self._recorder.invoke(name, "login", user=name, platform=platform)
        step = await attempt(self._adapter.log_in(user, platform=platform))
        answers, tokens_shown = self._observer.take()
        # Without an observed answer it is unknown whether it contained a token.
        phase = step.phase if answers else OpPhase.INFO
        self._recorder.complete(
            phase, name, "login", call_id, user=name, platform=platform, token_in=tokens_shown, error=step.error
        )
        if step.result is None:
            raise CanaryStopped(f"{name} could not log in: {step.error}")
        return step.result

    async def _send_each_way(self, canaries: Sequence[CanaryUser], conversation: str) -> None:
        """Each user sends two in a row, over the WebSocket and through the platform: both ways must keep what they acknowledge,
        and the order of one sender across them.
        """
        for first in range(0, self._options.messages, 2):
            for sender in canaries:
                for number in range(first, min(first + 2, self._options.messages)):
                    connection = sender.open_connection if number == first else None
                    await self._send(sender, connection, [canary.name for canary in canaries], conversation)

    async def _send(
        self, sender: CanaryUser, connection: CanaryConnection | None, receivers: Sequence[str], conversation: str
    ) -> None:
        self._sent += 1
        marker = f"{self._options.run_id}.{self._sent}"
        text = f"canary [{marker}]"
        call_id = self._message_recorder.begin_send(
            sender.name,
            marker=marker,
            conversation=conversation,
            receivers=receivers,
            text=text,
            channel="platform" if connection is None else WEBSOCKET,
        )
        step = await attempt(
            self._adapter.send(sender.session, conversation, text)
            if connection is None
            else connection.send(conversation, text)
        )
        self._acked += step.phase is OpPhase.OK
        self._message_recorder.end_send(
            sender.name, call_id, step.phase, message_id=step.result or "", error=step.error
        )

    async def _await_arrival(self, reader: CanaryUser, conversation: str, begin: int) -> None:
        """Wait until the newest seq accounts for every acknowledged message, or until the deadline. The judge decides."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._options.deadline_s
        while loop.time() < until_s:
            if await self._newest(reader, conversation) >= begin - 1 + self._acked:
                return
            await asyncio.sleep(_POLL_S)

    async def _read_back(self, reader: CanaryUser, conversation: str, begin: int) -> None:
        """Read over the reader's WebSocket while that is open, otherwise by REST."""
        connection = reader.open_connection
        read = self._message_recorder.begin_read(reader.name, conversation)
        try:
            end = await self._newest(reader, conversation, connection)
            for first in range(begin, end + 1, _PAGE):
                last = min(first + _PAGE - 1, end)
                for seen in await self._read_page(reader, conversation, first, last, connection):
                    self._record_read(reader, conversation, seen, read)
        except CanaryStopped as error:
            self._message_recorder.fail_read(reader.name, read, str(error))
            return
        self._message_recorder.end_read(reader.name, read, begin=begin, end=end, complete=True)

    async def _read_page(
        self, reader: CanaryUser, conversation: str, begin: int, end: int, connection: CanaryConnection | None
    ) -> Sequence[ReadMessage]:
        if connection is None:
            call = self._adapter.read(reader.session, conversation, begin=begin, end=end)
            return await self._through_gateway(reader, "read", call)
        return await self._sockets.call(reader, "read", connection.read(conversation, begin=begin, end=end))

    def _record_read(self, reader: CanaryUser, conversation: str, seen: ReadMessage, read: str) -> None:
        marker = marker_of(seen.text)
        # Messages of earlier runs, or of other users, do not belong to this run.
        if not marker.startswith(f"{self._options.run_id}."):
            return
        self._message_recorder.saw(
            reader.name,
            marker=marker,
            conversation=conversation,
            text=seen.text,
            seq=seen.seq,
            message_id=seen.message_id,
            read=read,
        )

    async def _newest(self, reader: CanaryUser, conversation: str, connection: CanaryConnection | None = None) -> int:
        if connection is None:
            call = self._adapter.newest_seq(reader.session, conversation)
            return await self._through_gateway(reader, "newest_seq", call)
        return await self._sockets.call(reader, "newest_seq", connection.newest_seq(conversation))

    async def _through_gateway(self, canary: CanaryUser, route: str, call: Awaitable[Result]) -> Result:
        """Make a request to OpenIM through the gateway, recorded for GW-01. Raises CanaryStopped if it fails."""
        self._observer.take()
        return await call_openim(self._recorder, canary, route, call, self._observer.take)

    async def _pushed_so_far(self, canary: CanaryUser) -> frozenset[str]:
        with suppress(NotOffered):
            step = await attempt(self._adapter.pushes(canary.session))
            return frozenset(push.notification_id for push in step.result or ())
        return frozenset()

    async def _watch_pushes(self, canary: CanaryUser, before: frozenset[str]) -> None:
        """Read the push sink until no more pushes come, and record those of this run."""
        step = await attempt(self._pushes_until_quiet(canary))
        call_id = self._recorder.invoke(canary.name, "push_watch", receiver=canary.name)
        for push in step.result or ():
            if push.type:
                self._recorder.observe(
                    canary.name,
                    "push_type",
                    receiver=canary.name,
                    notification_id=push.notification_id,
                    type=push.type,
                    fields=push.fields,
                )
            if push.notification_id not in before:
                self._recorder.observe(
                    canary.name,
                    "push",
                    receiver=canary.name,
                    notification_id=push.notification_id,
                    message_id=push.message_id,
                    marker=marker_of(push.text),
                    source=push.source,
                )
        self._recorder.complete(step.phase, canary.name, "push_watch", call_id, receiver=canary.name, error=step.error)

    async def _pushes_until_quiet(self, canary: CanaryUser) -> Sequence[OfflinePush]:
        pushes, last = await self._adapter.pushes(canary.session), -1
        while len(pushes) != last:
            last = len(pushes)
            await asyncio.sleep(_POLL_S)
            pushes = await self._adapter.pushes(canary.session)
        return pushes

    async def _replay_nonce(self, canary: CanaryUser) -> None:
        step = await attempt(self._adapter.replay(canary.session))
        replay = step.result or Replay("", 0, 0)
        call_id = self._recorder.invoke(
            canary.name, "nonce_replay", route=replay.route, first_status=replay.first_status
        )
        status = replay.second_status
        phase = OpPhase.OK if status in range(200, 400) else OpPhase.FAIL if status in range(400, 500) else OpPhase.INFO
        self._recorder.complete(phase, canary.name, "nonce_replay", call_id, status=status, error=step.error)

    async def _probe_websocket(self, canary: CanaryUser) -> None:
        step = await attempt(self._adapter.listen_to_old_websocket(canary.session, listen_s=self._options.listen_s))
        probe = step.result or OldWebSocket("", "")
        call_id = self._recorder.invoke(canary.name, "ws_probe", url=probe.url)
        self._recorder.complete(
            OpPhase.FAIL if probe.refused else step.phase,
            canary.name,
            "ws_probe",
            call_id,
            reason=probe.refused or step.error,
            listened_s=probe.listened_s,
            delivered=probe.delivered,
        )
