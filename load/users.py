"""The users of a load run: canaries who send to their peer at a fixed pace, each message named and recorded."""

from __future__ import annotations

import logging
import random
import time

import gevent
import httpx
from locust import FastHttpUser, task
from locust.exception import StopUser

from fixtures.clients.openim_calls import OpenIMError
from load.answers import read_answer
from load.arrival import Pace
from load.openim import OpenIMApi, conversation_id, send_body
from load.pairs import Pairs
from load.recorder import Conversation, RunRecorder
from load.settings import Settings
from verifier.judges.journal import JournalError

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
        self.pairs = Pairs(settings, worker=worker, workers=workers)
        self.broken = False


class CanarySender(FastHttpUser):
    """Sends through `/msg/send_msg` at its own pace, as an admin in a canary's name."""

    # A repeated send is a second message, and a redirect could lead to a host that the guard never saw.
    max_retries = 0
    max_redirects = 0
    insecure = False
    connection_timeout = 10.0
    network_timeout = 20.0

    current: Run | None = None

    def on_start(self) -> None:
        """Take a pair of canaries, see that OpenIM knows them, note where their conversation stands."""
        run, pair = self.current, self.current.pairs.take() if self.current else None
        if run is None or pair is None:
            raise StopUser
        self._run, (self._me, self._peer) = run, pair
        conversation = conversation_id(self._me, self._peer)
        try:
            run.api.ensure_registered(pair)
            newest = run.api.max_seq(self._me, conversation)
        except (OpenIMError, httpx.HTTPError) as error:
            self._report("prepare", 0.0, error)
            raise StopUser from error
        self._conversation: Conversation = run.recorder.open_conversation(conversation, pair, newest)
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
        run, marker = self._run, self._run.recorder.next_marker()
        text = (_FILL * (run.settings.text_bytes // len(_FILL) + 1))[: run.settings.text_bytes]
        try:
            headers = run.api.headers()
        except (OpenIMError, httpx.HTTPError) as error:
            self._report("get_admin_token", 0.0, error)
            return
        call_id = run.recorder.begin_send(self._me, self._conversation, marker=marker, text=text, late_s=late_s)
        with self.client.post(
            # Not relative to `host`, which the web UI can change in the middle of a run, past the guard.
            f"{run.settings.api_url}/msg/send_msg",
            json=send_body(self._me, self._peer, text, marker),
            headers=headers,
            name="send_msg",
            catch_response=True,
        ) as answer:
            told = read_answer(answer)
        message_id = str(told.data.get("serverMsgID", ""))
        run.recorder.end_send(
            self._me, self._conversation, call_id, told.phase, message_id=message_id, error=told.problem
        )

    def _report(self, name: str, seconds: float, error: Exception) -> None:
        self.environment.events.request.fire(
            request_type="POST", name=name, response_time=seconds * 1000, response_length=0, exception=error, context={}
        )
