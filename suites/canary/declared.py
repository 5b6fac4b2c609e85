"""Steps of the canary that depend on what the stack declares about OpenIM: a second device, webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fixtures.clients.actions import Adapter, NotOffered, OffersWebhooks, Session, WebhookCall
from suites.canary.parts import CanaryStopped, CanaryUser, attempt, marker_of
from verifier.judges.journal import Recorder
from verifier.judges.operation import OpPhase

WEB = 5
"""The browser, as OpenIM numbers platforms: another class of device than a phone."""

_POLL_S = 0.3
_QUIET_S = 3.0
"""After-hooks are queued: stop waiting when no new one has come for this long."""
_WATCH_MAX_S = 15.0


class DeviceSteps:
    """A canary user logs in on a second platform; what then happens to both sessions is recorded for TOK-07."""

    def __init__(self, adapter: Adapter, recorder: Recorder) -> None:
        self._adapter = adapter
        self._recorder = recorder

    async def second_login(
        self, canary: CanaryUser, first_platform: int, conversation: str, log_in: Callable[[int], Awaitable[Session]]
    ) -> None:
        """`log_in` signs the same user in on the given platform. The user stays signed in until the adapter closes."""
        call_id = self._recorder.invoke(canary.name, "second_login", user=canary.name, platforms=[first_platform, WEB])
        try:
            second = await log_in(WEB)
        except CanaryStopped as error:
            self._end(canary, call_id, OpPhase.INFO, session="second", error=str(error))
            return
        for name, session in (("first", canary.session), ("second", second)):
            step = await attempt(self._adapter.newest_seq(session, conversation))
            if step.phase is not OpPhase.OK:
                self._end(canary, call_id, step.phase, session=name, err_code=step.err_code, error=step.error)
                return
        self._end(canary, call_id, OpPhase.OK)

    def _end(self, canary: CanaryUser, call_id: str, phase: OpPhase, **fields: object) -> None:
        self._recorder.complete(phase, canary.name, "second_login", call_id, user=canary.name, **fields)


class HookSteps:
    """Webhooks that OpenIM calls for the canary's messages. Nothing is done if the adapter cannot query their receiver."""

    def __init__(self, adapter: Adapter, recorder: Recorder, run_id: str) -> None:
        self._adapter = adapter if isinstance(adapter, OffersWebhooks) else None
        self._recorder = recorder
        self._run_id = run_id
        self._watch = ""

    async def begin(self, canary: CanaryUser, conversation: str) -> None:
        """Start to expect a webhook for each message in the conversation, if the receiver can be queried."""
        if self._adapter is None:
            return
        try:
            await attempt(self._adapter.webhooks())
        except NotOffered:
            self._adapter = None
        else:
            self._watch = self._recorder.invoke(canary.name, "hook_watch", conversation=conversation)

    async def end(self, canary: CanaryUser, conversation: str) -> None:
        """Query the receiver until no more calls come, and record those of this run."""
        if self._adapter is None:
            return
        step = await attempt(self._until_quiet(self._adapter))
        for hook in step.result or ():
            if marker_of(hook.text).startswith(f"{self._run_id}."):
                self._recorder.observe(
                    canary.name,
                    "hook",
                    command=hook.command,
                    operation_id=hook.operation_id,
                    message_id=hook.message_id,
                    marker=marker_of(hook.text),
                )
        self._recorder.complete(
            step.phase, canary.name, "hook_watch", self._watch, conversation=conversation, error=step.error
        )

    async def deny(self, canary: CanaryUser, conversation: str) -> None:
        """Have the receiver refuse one message, and try to send it: OpenIM must not accept it."""
        if self._adapter is None:
            return
        marker = f"{self._run_id} denied"
        with suppress(NotOffered):
            refusal = await attempt(self._adapter.refuse_next(marker))
            call_id = self._recorder.invoke(canary.name, "hook_deny", marker=marker)
            phase, error = OpPhase.INFO, refusal.error
            if refusal.phase is OpPhase.OK:
                connection = canary.open_connection
                step = await attempt(
                    self._adapter.send(canary.session, conversation, marker)
                    if connection is None
                    else connection.send(conversation, marker)
                )
                phase, error = step.phase, step.error
            self._recorder.complete(phase, canary.name, "hook_deny", call_id, marker=marker, error=error)

    async def _until_quiet(self, adapter: OffersWebhooks) -> list[WebhookCall]:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _WATCH_MAX_S
        seen, changed_s = list(await adapter.webhooks()), loop.time()
        while loop.time() < min(until_s, changed_s + _QUIET_S):
            await asyncio.sleep(_POLL_S)
            now = list(await adapter.webhooks())
            if len(now) != len(seen):
                seen, changed_s = now, loop.time()
        return seen
