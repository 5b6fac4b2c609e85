"""REST users of a load run: canaries who send at a fixed pace, to their peer or to many, each message named and recorded."""

from __future__ import annotations

import logging
import random
import time
from typing import Any

import gevent
import httpx
from locust import FastHttpUser, task
from locust.exception import StopUser

from fixtures.clients.openim_calls import OpenIMError
from load.settings import Settings
from load.users.answers import Told, read_answer
from load.users.arrival import Pace
from load.users.openim import BATCH_SEND_MSG, SEND_MSG, OpenIMApi, conversation_id, send_body
from load.users.pairs import Batches, Pairs
from load.users.recorder import COPIES, Conversation, RunRecorder
from verifier.judges.journal import JournalError
from verifier.judges.operation import OpPhase

_FILL = "canary "
_log = logging.getLogger(__name__)


class Run:
    """What the users of one process share during one run: settings, recorder, API, and whose turn it is.

    `broken`: the journal takes nothing more, and the run is ending.
    """

    def __init__(self, settings: Settings, recorder: RunRecorder, api: OpenIMApi, *, worker: int, workers: int) -> None:
        self.settings = settings
        self.recorder = recorder
        self.api = api
        self._pairs = Pairs(settings, worker=worker, workers=workers)
        self._batches = Batches(settings, worker=worker, workers=workers)
        self.broken = False

    def take(self) -> tuple[str, tuple[str, ...]] | None:
        """(own id, receivers' ids) for one more user; None when all canaries are in use."""
        if self.settings.batch:
            return self._batches.take()
        pair = self._pairs.take()
        return (pair[0], pair[1:]) if pair else None


class CanarySender(FastHttpUser):
    """Sends through `/msg/send_msg` or `/msg/batch_send_msg` at its own pace, as an admin in a canary's name."""

    # A repeated send is a second message, and a redirect could lead to a host that the guard never saw.
    max_retries = 0
    max_redirects = 0
    insecure = False
    connection_timeout = 10.0
    network_timeout = 20.0

    current: Run | None = None

    def on_start(self) -> None:
        """Take a canary and its receivers, see that OpenIM knows them, note where their conversations stand."""
        run, taken = self.current, self.current.take() if self.current else None
        if run is None or taken is None:
            raise StopUser
        self._run, (self._me, receivers) = run, taken
        names = {conversation_id(self._me, receiver): receiver for receiver in receivers}
        try:
            run.api.ensure_registered((self._me, *receivers))
            newest = run.api.max_seqs(self._me, list(names))
        except (OpenIMError, httpx.HTTPError) as error:
            self._report("prepare", 0.0, error)
            raise StopUser from error
        self._conversations: dict[str, Conversation] = {
            receiver: run.recorder.open_conversation(name, (self._me, receiver), newest[name])
            for name, receiver in names.items()
        }
        rng = random.Random()  # noqa: S311 - arrival times, no secret
        self._pace = Pace(run.settings.due_s(rng) or iter(()), time.monotonic())

    def wait_time(self) -> float:
        """Until the next message is due."""
        return self._pace.wait_s(time.monotonic())

    @task
    def send(self) -> None:
        """Send the message that is due."""
        try:
            self._send_one()
        except JournalError as error:
            # A run that cannot be accounted for any more is of no use to anybody.
            if not self._run.broken:
                self._run.broken = True
                _log.error("%s", error)
                # Not from this greenlet, which ends with the run.
                gevent.spawn(self.environment.runner.quit)
            gevent.sleep(1)

    def _send_one(self) -> None:
        # A stop that fell on the end of our wait is delivered here, and not in the middle of a request.
        gevent.sleep(0)
        late_s = self._pace.take(time.monotonic())
        run = self._run
        settings, recorder = run.settings, run.recorder
        text = (_FILL * (settings.text_bytes // len(_FILL) + 1))[: settings.text_bytes]
        try:
            headers = run.api.headers()
        except (OpenIMError, httpx.HTTPError) as error:
            self._report("get_admin_token", 0.0, error)
            return
        ex = recorder.next_marker() + (COPIES if settings.batch else "")
        calls = {
            receiver: recorder.begin_send(self._me, chat, marker=recorder.marker_in(ex, chat), text=text, late_s=late_s)
            for receiver, chat in self._conversations.items()
        }
        to: Any = list(calls) if settings.batch else next(iter(calls))
        name = BATCH_SEND_MSG if settings.batch else SEND_MSG
        with self.client.post(
            # Not relative to `host`, which the web UI can change in the middle of a run, past the guard.
            f"{settings.api_url}/msg/{name}",
            json=send_body(self._me, to, text, ex),
            headers=headers,
            name=name,
            catch_response=True,
        ) as answer:
            told = read_answer(answer)
            ids = _message_ids(told, to)
            if told.phase is OpPhase.OK and len(ids) < len(calls):
                answer.failure(f"{len(calls) - len(ids)} of {len(calls)} copies were not sent, or nobody knows")
        for receiver, call_id in calls.items():
            # Who failed alone may have failed behind the queue (trap T13: no code says why).
            phase = OpPhase.INFO if told.phase is OpPhase.OK and receiver not in ids else told.phase
            recorder.end_send(
                self._me,
                self._conversations[receiver],
                call_id,
                phase,
                message_id=ids.get(receiver, ""),
                error=told.problem or "in failedUserIDs",
            )

    def _report(self, name: str, seconds: float, error: Exception) -> None:
        self.environment.events.request.fire(
            request_type="POST", name=name, response_time=seconds * 1000, response_length=0, exception=error, context={}
        )


def _message_ids(told: Told, to: str | list[str]) -> dict[str, str]:
    """OpenIM's message ids by receiver, of what was taken."""
    if told.phase is not OpPhase.OK:
        return {}
    if isinstance(to, str):
        return {to: str(told.data.get("serverMsgID", ""))}
    return {str(row["recvID"]): str(row.get("serverMsgID", "")) for row in told.data.get("results") or ()}
